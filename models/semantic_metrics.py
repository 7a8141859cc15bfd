"""How well every pixel of an image is labelled: counts of (true label, found label) pairs, streamed, and the figures made of them.

One matrix over the whole set, never a mean over images. Label 0 is *nothing*: no object is marked there, or none was found. Two ways to
read the pixels where nothing is marked, both named:

- ``mess``: they are not judged, as in the MESS benchmark; a marked pixel where nothing was found still counts against its label;
- ``background``: they are judged too, so that whatever is found there is wrong.

Pixels that are marked as crowd (:data:`IGNORED`) are never judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.types import BoolMask

MESS = "mess"
BACKGROUND = "background"
SEMANTIC_PROTOCOLS = {
    MESS: "Only pixels that the ground truth labels are judged, as in the MESS benchmark; finding nothing there counts against the label.",
    BACKGROUND: "Every pixel is judged; where the ground truth labels nothing, whatever is found is wrong.",
}

IGNORED = -1
LabelMap = npt.NDArray[np.int32]
"""int ``[H, W]``: :data:`IGNORED`, 0 for nothing, else 1 + place of the label."""

Counts = npt.NDArray[np.int64]
"""int ``[L + 1, L + 1]``: pixels by true label (row) and found label (column)."""


@dataclass(frozen=True, slots=True)
class SemanticScores:
    """Figures over all labels that occur, in the ground truth or in the answers; ``None`` where no pixel decides one."""

    miou: float | None
    """Mean over labels of intersection over union; a label that is only found counts as 0."""
    pixel_accuracy: float | None
    """Share of the judged pixels with the right label."""
    mean_accuracy: float | None
    """Mean over the labels of the ground truth of the share of their pixels that were found."""
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]
    pixels: dict[str, int]
    """Pixels that the ground truth gives to each label."""


def paint_labels(size_hw: tuple[int, int], masks: Iterable[tuple[BoolMask, int, float]], ignored: Iterable[BoolMask] = ()) -> LabelMap:
    """One label per pixel from masks that may overlap.

    Args:
        size_hw: of the image.
        masks: bool ``[H, W]``, number of the label (1 and up), and a rank: of two masks over one pixel the one of higher rank wins, of
            equals the later one.
        ignored: masks of pixels that are not judged, unless something of ``masks`` lies there.
    """
    labels = np.zeros(size_hw, np.int32)
    for mask in ignored:
        labels[mask] = IGNORED
    for mask, label, _ in sorted(masks, key=lambda one: one[2]):
        labels[mask] = label
    return labels


def count_pairs(truth: LabelMap, found: LabelMap, n_labels: int) -> Counts:
    """Count the pixels of one image by true and found label.

    Raises:
        ValueError: the maps differ in size, or a label lies outside ``0..n_labels`` (the truth may be :data:`IGNORED`).
    """
    if truth.shape != found.shape:
        raise ValueError(f"ground truth and answer must be of one size, found {truth.shape} and {found.shape}")
    if truth.min() < IGNORED or found.min() < 0 or max(truth.max(), found.max()) > n_labels:
        raise ValueError(f"labels must lie in 0..{n_labels}, found {truth.min()}..{truth.max()} and {found.min()}..{found.max()}")
    judged = truth != IGNORED
    side = n_labels + 1
    return np.bincount(truth[judged].astype(np.int64) * side + found[judged], minlength=side * side).reshape(side, side)


def semantic_scores(counts: Counts, labels: Sequence[str], protocol: str) -> SemanticScores:
    """Figures from the summed counts of a set.

    Args:
        counts: sum of :func:`count_pairs` over the images.
        labels: names, in the order of their numbers.
        protocol: :data:`MESS` or :data:`BACKGROUND`.
    """
    judged = counts[1:] if protocol == MESS else counts
    hits = np.diagonal(counts)[1:]
    truth, found = counts[1:].sum(axis=1), judged[:, 1:].sum(axis=0)
    unions = truth + found - hits
    right = hits.sum() + (counts[0, 0] if protocol == BACKGROUND else 0)
    iou = [_ratio(hit, union) for hit, union in zip(hits, unions, strict=True)]
    accuracy = [_ratio(hit, of) for hit, of in zip(hits, truth, strict=True)]
    return SemanticScores(
        miou=_mean(iou),
        pixel_accuracy=_ratio(right, judged.sum()),
        mean_accuracy=_mean(accuracy),
        iou=dict(zip(labels, iou, strict=True)),
        accuracy=dict(zip(labels, accuracy, strict=True)),
        pixels=dict(zip(labels, truth.tolist(), strict=True)),
    )


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
