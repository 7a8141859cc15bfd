"""Which images a report shows with their labels, and which labels are mistaken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.masks import coco_rle_to_mask
from models.report.pictures import ImageFinder, draw_masks, to_uri

MOST_WORST = 12
MOST_BEST = 6
MOST_CONFUSIONS = 12

Row = dict[str, Any]
"""A row of the task ``semantic``, as it stands in the file."""


@dataclass(frozen=True, slots=True)
class LabelCase:
    """One image with what is right and wrong in it."""

    image: str
    group: str
    """``worst`` or ``best``."""
    fit: float
    """Right pixels over all that are marked or that something was found on."""
    labels: tuple[str, ...]
    """What is marked in it."""
    picture: str | None
    """``None`` where the image is gone."""


def choose_label_cases(rows: Sequence[Row], labels: Sequence[str], finder: ImageFinder) -> list[LabelCase]:
    """The images whose labels fit worst, then those where they fit best; images where nothing is marked or found are left out."""
    judged = sorted(((fit, row) for row in rows if (fit := _fit(row)) is not None), key=lambda one: one[0])
    worst = judged[:MOST_WORST]
    best = judged[max(MOST_WORST, len(judged) - MOST_BEST) :][::-1]
    chosen = [(fit, row, group) for cases, group in ((worst, "worst"), (best, "best")) for fit, row in cases]
    return [LabelCase(row["image"], group, fit, _marked(row, labels), _picture(row, finder)) for fit, row, group in chosen]


def _fit(row: Row) -> float | None:
    right = sum(pixels for truth, found, pixels in row["pairs"] if truth == found != 0)
    judged = sum(pixels for truth, found, pixels in row["pairs"] if truth or found)
    return right / judged if judged else None


def _marked(row: Row, labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(labels[number - 1] for number in sorted({truth for truth, _, _ in row["pairs"] if truth}))


def _picture(row: Row, finder: ImageFinder) -> str | None:
    image = finder.find(row["image"])
    if image is None:
        return None
    masks = [coco_rle_to_mask({"size": row["drawn_hw"], "counts": row[name]}) for name in ("right", "missed", "wrong")]
    return to_uri(draw_masks(image, *masks))


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pixels of one label that were taken for another, or for nothing."""

    truth: str
    found: str
    pixels: int
    share: float
    """Of all pixels of the true label."""


def most_confused(rows: Sequence[Row], labels: Sequence[str]) -> list[Confusion]:
    """The pairs of a true and another label with the most pixels."""
    names = ("nothing", *labels)
    pixels, of_truth = Counter[tuple[int, int]](), Counter[int]()
    for row in rows:
        for truth, found, count in row["pairs"]:
            of_truth[truth] += count
            if truth != found:
                pixels[truth, found] += count
    return [
        Confusion(names[truth], names[found], count, count / of_truth[truth])
        for (truth, found), count in pixels.most_common(MOST_CONFUSIONS)
    ]
