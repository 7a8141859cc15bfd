"""A small data set whose right answers :class:`tests.factories.FakeEngine` knows in part, and rows of evaluations by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.dataset_folder import DatasetFolder, DatasetWriter
from models.data.sample import Category, Expression, Sample, Target
from models.masks import mask_to_coco_rle
from models.metrics import Overlap
from models.results.rows import ExpressionRow
from tests.factories import FakeEngine, fake_mask, make_image, make_mask

LABELS = ("dog", "cat")
GHOST = "the ghost"
"""Refers to nothing."""


def knowing_engine(**changes: Any) -> FakeEngine:
    """Finds dogs exactly and twice of every cat, and knows that there is no ghost."""
    return FakeEngine(**{"instances": {GHOST: 0}, **changes})


def write_dataset(path: Path, count: int = 4, split: str = "val") -> DatasetFolder:
    """Images of 48 x 64 pixels; on each a dog, half a cat (as the engine sees it), a ghost that is not there."""
    with DatasetWriter(path, "made for tests", replace=True) as writer:
        (writer.work_path / "images").mkdir()
        for number in range(count):
            image = make_image(colour=(40 + number, 80, 120))
            name = f"images/{number}.png"
            Image.fromarray(image).save(writer.work_path / name)
            writer.add(sample_of(name, image, split))
        writer.commit([Category(1, "dog"), Category(2, "cat")])
    return DatasetFolder(path)


def sample_of(name: str, image: npt.NDArray[np.uint8], split: str | None) -> Sample:
    """One image of the set."""
    dog, cat = fake_mask(image, "dog"), half_of(fake_mask(image, "cat"))
    targets = (Target(1, mask_to_coco_rle(dog), label="dog"), Target(2, mask_to_coco_rle(cat), label="cat"))
    expressions = (Expression("dog", (1,), "name"), Expression("cat", (2,), "name"), Expression(GHOST, (), "absent"))
    return Sample(name, (image.shape[0], image.shape[1]), split, targets, expressions)


def half_of(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The upper half of a rectangle."""
    rows = np.flatnonzero(mask.any(axis=1))
    half = mask.copy()
    half[rows[len(rows) // 2] :] = False
    return half


def make_row(overlap: tuple[int, int, int] = (5, 10, 10), *, official: tuple[int, int, int] | None = None, **fields: Any) -> ExpressionRow:
    """A row with the counts (intersection, predicted, truth)."""
    drawn = mask_to_coco_rle(make_mask())
    defaults = {
        "image": "a.png",
        "place": 0,
        "text": "dog",
        "kind": "name",
        "labels": ("dog",),
        "clean": Overlap(*overlap),
        "official": Overlap(*(official or overlap)),
        "ungated": None,
        "presence": None,
        "score": 0.9,
        "truth_drawn": drawn,
        "found_drawn": drawn,
    }
    return ExpressionRow(**{**defaults, **fields})


def make_results(**fields: Any) -> dict[str, Any]:
    """Every field of an evaluation's JSON file but the rows."""
    defaults = {
        "command": "wordmask evaluate",
        "wordmask": "0.0.0",
        "weights": {"name": "fake", "version": "fake-1.0.0+00000000"},
        "data": {"kind": "dataset", "name": "set", "path": "nowhere", "split": "val", "source": "tests", "images": 1},
        "protocols": {},
        "referring": None,
        "prompts": None,
        "semantic": None,
        "instances": None,
        "skipped": {"count": 0, "examples": []},
    }
    return {**defaults, **fields}
