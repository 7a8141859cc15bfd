"""A small domain of coloured squares and discs on grey, as a data set folder, and a network of random weights to learn it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from models import Category, DatasetWriter, Expression, FineTuneConfig, FineTuning, Sample, Target, mask_to_coco_rle
from models.ssp_sam.config import contract
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import tokenizer_for, write_weights_folder
from tests.models.ssp_sam.networks import perturbed

SIDE = 64
COLOURS = {"red square": (220, 40, 40), "green square": (40, 200, 60), "blue square": (50, 60, 220)}

QUICK = FineTuneConfig(
    steps=6, batch_size=2, replay_size=0, expressions_per_image=3, learning_rate=1e-3, validate_every=3, precision="fp32", device="cpu",
    low_rank=2, low_rank_blocks=2,
)  # fmt: skip


def write_dataset(folder: Path, training: int = 4, validation: int = 2, *, weak: bool = False, seed: int = 0) -> Path:
    """Each image shows two of three squares; both and the missing one are asked for."""
    rng = np.random.default_rng(seed)
    with DatasetWriter(folder, "squares") as writer:
        (writer.work_path / "images").mkdir()
        for number in range(training + validation):
            image = np.full((SIDE, SIDE, 3), 120, np.uint8)
            image += rng.integers(0, 8, image.shape, dtype=np.uint8)
            names = list(rng.permutation(list(COLOURS)))
            targets = []
            for place, name in enumerate(names[:2]):
                x, y = int(rng.integers(2, 14)) + 32 * place, int(rng.integers(2, 40))
                image[y : y + 18, x : x + 18] = COLOURS[name]
                mask = np.zeros((SIDE, SIDE), np.bool_)
                mask[y : y + 18, x : x + 18] = True
                box = (float(x), float(y), x + 18.0, y + 18.0)
                targets.append(Target(place + 1, None if weak else mask_to_coco_rle(mask), box if weak else None, label=name))
            Image.fromarray(image).save(writer.work_path / "images" / f"{number}.png")
            said = [Expression(name, (place + 1,) if place < 2 else ()) for place, name in enumerate(names)]
            split = "train" if number < training else "val"
            writer.add(Sample(f"images/{number}.png", (SIDE, SIDE), split, tuple(targets), tuple(said)))
        writer.commit([Category(number, name) for number, name in enumerate(COLOURS)])
    return folder


def write_base(folder: Path, model: SspSam | None = None, seed: int = 0) -> Path:
    """Weights of a small network that knows nothing."""
    model = model or perturbed(contract(), seed)
    write_weights_folder(model, tokenizer_for(model.config), folder, release="1.0.0", thresholds=Thresholds())
    return folder


def request_for(root: Path, config: FineTuneConfig = QUICK, **changes: object) -> FineTuning:
    """A request on the world under ``root``; what is missing of it is made."""
    if not (root / "data").exists():
        write_dataset(root / "data")
    if not (root / "base").exists():
        write_base(root / "base")
    fields: dict[str, object] = {
        "base": str(root / "base"), "dataset": root / "data", "run_dir": root / "run", "out": root / "draft", "version": "v1",
        "config": config,
    }  # fmt: skip
    return FineTuning(**{**fields, **changes})  # type: ignore[arg-type]
