"""The evaluation protocol of the SSP-SAM authors, for comparison with their own numbers.

Everything is measured on the padded 512 x 512 square that the network's mask logits live on: the ground truth is enlarged by a
"greater than zero" rule and the padding counts. For scores that mean something to a user see :mod:`models.metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.metrics import Overlap
from models.types import BoolMask

CANVAS = 512
"""Side of the padded square in pixels."""

SAM_SIZE = 1024
"""Longest side of SAM's input in pixels."""

EMPTY_BELOW = 50
"""A prediction for a no-target expression counts as empty below this many pixels of the square."""

OFFICIAL_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))


def pad_ground_truth(mask: BoolMask) -> BoolMask:
    """Bring a ground-truth mask ``[H, W]`` onto the padded square, bool ``[512, 512]``.

    A pixel of SAM's input belongs to the mask if bilinear resizing left anything above zero there,
    so the mask grows by about a pixel.
    """
    return _pad(_resize_to_sam(mask) > 0)


def pad_prediction(mask: BoolMask) -> BoolMask:
    """Bring a predicted mask ``[H, W]`` onto the padded square, bool ``[512, 512]``, at unchanged area.

    Only for engines that answer at the original resolution; a network's own logits on the square need no detour.
    """
    return _pad(_resize_to_sam(mask) > 0.5)


def _resize_to_sam(mask: BoolMask) -> npt.NDArray[np.float32]:
    height, width = mask.shape
    scale = SAM_SIZE / max(height, width)
    size_wh = int(width * scale + 0.5), int(height * scale + 0.5)
    resized: npt.NDArray[np.float32] = np.asarray(Image.fromarray(mask.astype(np.float32)).resize(size_wh, Image.Resampling.BILINEAR))
    return resized


def _pad(mask: BoolMask) -> BoolMask:
    """Pad right and bottom to SAM's square, then shrink by nearest neighbour: every second row and column."""
    square = np.zeros((SAM_SIZE, SAM_SIZE), bool)
    square[: mask.shape[0], : mask.shape[1]] = mask
    step = SAM_SIZE // CANVAS
    return square[::step, ::step]


@dataclass(frozen=True, slots=True)
class OfficialScores:
    """Figures of the official protocol; ``None`` where no expression decides the figure."""

    n: int
    miou: float
    """Mean IoU over all expressions, called gIoU on gRefCOCO."""
    oiou: float | None
    """Sum of intersections over sum of unions, called cIoU on gRefCOCO."""
    precision: dict[str, float]
    """Pr@X over all expressions, for X = 0.5, 0.55, ... 0.9."""
    n_acc_official_code: float | None
    """Expressions with an IoU of exactly 1, *whether they have a target or not*, over no-target expressions. May exceed 1."""
    t_acc_official_code: float | None
    """Expressions with an IoU strictly between 0 and 1 over target expressions."""
    n_acc: float | None
    """No-target expressions with an empty prediction over no-target expressions."""
    t_acc: float | None
    """Target expressions with a prediction that is not empty over target expressions."""


class OfficialMetrics:
    """Takes pairs of masks on the padded square and yields the figures of the official protocol."""

    def __init__(self) -> None:
        self._overlaps: list[Overlap] = []

    def add(self, prediction: BoolMask, truth: BoolMask) -> None:
        """Compare two bool masks ``[512, 512]`` on the padded square, see :func:`pad_prediction` and :func:`pad_ground_truth`."""
        if truth.shape != (CANVAS, CANVAS):
            raise ValueError(f"the official masks have {CANVAS} x {CANVAS} pixels, found {truth.shape}; pad them first")
        self.add_overlap(Overlap.between(prediction, truth))

    def add_overlap(self, overlap: Overlap) -> None:
        """Take in what :meth:`add` would count, where the counts are known already."""
        self._overlaps.append(overlap)

    def scores(self) -> OfficialScores:
        """Sum up. Raises ``ValueError`` when nothing was added."""
        if not self._overlaps:
            raise ValueError("no expression was added, so there is nothing to sum up")
        ious = np.array([official_iou(overlap) for overlap in self._overlaps])
        is_target = np.array([overlap.truth > 0 for overlap in self._overlaps])
        is_empty = np.array([overlap.predicted < EMPTY_BELOW for overlap in self._overlaps])
        intersection = sum(overlap.intersection for overlap in self._overlaps)
        union = sum(overlap.union for overlap in self._overlaps if not _is_right_no_target(overlap))
        targets, no_targets = int(is_target.sum()), int((~is_target).sum())
        return OfficialScores(
            n=ious.size,
            miou=float(ious.mean()),
            oiou=intersection / union if union else None,
            precision={f"{threshold}": float((ious >= threshold).mean()) for threshold in OFFICIAL_THRESHOLDS},
            n_acc_official_code=_share(ious == 1, no_targets),
            t_acc_official_code=_share((ious > 0) & (ious < 1), targets),
            n_acc=_share(~is_target & is_empty, no_targets),
            t_acc=_share(is_target & ~is_empty, targets),
        )


def official_iou(overlap: Overlap) -> float:
    """IoU by the 50-pixel rule: without a ground truth 1 for fewer than 50 predicted pixels, else 0."""
    if overlap.truth == 0:
        return float(_is_right_no_target(overlap))
    return overlap.iou


def _is_right_no_target(overlap: Overlap) -> bool:
    return overlap.truth == 0 and overlap.predicted < EMPTY_BELOW


def _share(hits: npt.NDArray[np.bool_], of: int) -> float | None:
    return int(np.count_nonzero(hits)) / of if of else None
