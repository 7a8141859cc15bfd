"""A small data set of label maps in the published layouts: two splits, things and stuff, pixels that nobody labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COCO_STUFF_NAMES = "0: unlabeled\n1: person\n2: bicycle\n92: banner\n93: blanket\n"
ADE20K_NAMES = (
    "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
    "1\t0.1576\t11664\t1172\t1\twall\n"
    "2\t0.1072\t6046\t612\t1\tbuilding, edifice\n"
    "3\t0.0878\t8265\t796\t0\tscreen, silver screen\n"
    "4\t0.0622\t9336\t917\t0\tscreen, CRT screen\n"
)  # fmt: skip
UNLABELLED = 255
SIZE_HW = (60, 80)


def write_coco_stuff(folder: Path, count: int = 2, *, seed: int = 0) -> Path:
    """Images whose quarters show a person, a bicycle, a blanket and something unlabelled, each in a colour of its own."""
    values = np.array([[0, 1], [92, UNLABELLED]], np.uint8)
    return _write(folder, values, ("train2017", "val2017"), "labels.txt", COCO_STUFF_NAMES, count, seed)


def write_ade20k(folder: Path, count: int = 2, *, seed: int = 0) -> Path:
    """The same with a wall, a building, a screen and something unlabelled."""
    values = np.array([[1, 2], [4, 0]], np.uint8)
    return _write(folder, values, ("training", "validation"), "objectInfo150.txt", ADE20K_NAMES, count, seed)


def _write(folder: Path, values: np.ndarray, splits: tuple[str, ...], names: str, text: str, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    height, width = SIZE_HW
    for split in splits:
        for part in ("images", "annotations"):
            (folder / part / split).mkdir(parents=True)
        for number in range(count):
            quarters = values.repeat(height // 2, axis=0).repeat(width // 2, axis=1)
            noise = rng.integers(-20, 20, (height, width, 3))
            shade = quarters.astype(np.int64)
            picture = np.clip(np.stack([shade * 2 % 256, 255 - shade, shade * 5 % 256], axis=-1) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / "images" / split / f"{number:012}.jpg")
            Image.fromarray(quarters).save(folder / "annotations" / split / f"{number:012}.png")
    (folder / names).write_text(text, encoding="utf-8")
    return folder
