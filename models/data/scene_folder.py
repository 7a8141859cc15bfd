"""A few scenes as ordinary image files with one ``scenes.json`` beside them: what is committed for demo and tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.data.emoji_scenes.grammar import Expression as SceneExpression
from models.data.emoji_scenes.scene import Scene
from models.evaluation import Expression, Sample
from models.masks import coco_rle_to_mask, mask_to_coco_rle
from models.types import BoolMask

INDEX = "scenes.json"


@dataclass(frozen=True, slots=True, eq=False)
class SampleScene:
    """One scene of a folder."""

    path: Path
    """Image file."""
    sample: Sample
    """The decoded image with its expressions and the masks of its objects."""
    classes: tuple[str, ...]
    """Class of each object, in the order of the masks."""


def load_scenes(folder: Path) -> list[SampleScene]:
    """Read every scene of a folder, in the order of its index.

    Raises:
        FileNotFoundError: the folder has no ``scenes.json``, or an image is missing.
    """
    index = folder / INDEX
    if not index.exists():
        raise FileNotFoundError(f"no {INDEX} in {folder}; make it with `python -m tools.make_sample_scenes`")
    return [_load_scene(folder, record) for record in json.loads(index.read_text(encoding="utf-8"))]


def save_scenes(folder: Path, scenes: Sequence[tuple[str, Scene, Sequence[SceneExpression]]], **save_options: Any) -> None:
    """Write scenes with their expressions.

    Args:
        folder: is made if it is missing.
        scenes: file name, scene, expressions; the name's ending decides the format.
        save_options: for Pillow, e.g. ``quality=90``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for name, scene, expressions in scenes:
        Image.fromarray(scene.image).save(folder / name, **save_options)
        objects = [{"class": one.name, "segmentation": mask_to_coco_rle(scene.ids == one.id)} for one in scene.meta.objects]
        # Places in this file count from zero, ids in a scene from one.
        said = [{"text": e.text, "kind": e.kind, "targets": [target - 1 for target in e.targets]} for e in expressions]
        records.append({"file": name, "objects": objects, "expressions": said})
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    (folder / INDEX).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _load_scene(folder: Path, record: dict[str, Any]) -> SampleScene:
    path = folder / record["file"]
    with Image.open(path) as picture:
        image = np.asarray(picture.convert("RGB"))
    objects = tuple(coco_rle_to_mask(one["segmentation"]) for one in record["objects"])
    classes = tuple(one["class"] for one in record["objects"])
    expressions = tuple(
        Expression(
            said["text"],
            said["kind"],
            _union([objects[target] for target in said["targets"]], image.shape[:2]),
            tuple(sorted({classes[target] for target in said["targets"]})),
        )
        for said in record["expressions"]
    )
    return SampleScene(path, Sample(path.stem, image, expressions, objects), classes)


def _union(masks: Sequence[BoolMask], size_hw: tuple[int, ...]) -> BoolMask:
    union = np.zeros(size_hw, np.bool_)
    for mask in masks:
        union |= mask
    return union
