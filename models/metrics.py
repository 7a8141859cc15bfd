"""How well predicted masks fit the ground truth of referring expressions, at the resolution of the original image.

An expression refers to something (a *target* expression: its mask has pixels) or to nothing (*no-target*: its mask is empty).
The definitions are those of RefCOCO and gRefCOCO, with emptiness tested by counting pixels and never by an IoU of 0 or 1:

- over target expressions: mIoU is the mean of the IoUs, oIoU is all intersections over all unions, Pr@X the share with IoU >= X,
  T-acc the share with a prediction that is not empty;
- over no-target expressions: N-acc is the share with an empty prediction, TP / (TP + FN);
- over both: gIoU is the mean IoU where a no-target expression counts 1 if the prediction is empty and else 0; cIoU is all
  intersections over all unions, to which a prediction for a no-target expression adds its pixels.

:mod:`models.official_metrics` holds the protocol of the authors' own evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from models.bootstrap import LEVEL, RESAMPLES, interval_of, resampled_sums
from models.types import BoolMask

PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
ALL_KINDS = "all"

Item = TypeVar("Item")


def by_kind(items: Sequence[Item], kind_of: Callable[[Item], str]) -> dict[str, Sequence[Item]]:
    """All items as :data:`ALL_KINDS`, then those of each kind in alphabetical order."""
    kinds = sorted({kind_of(item) for item in items})
    return {ALL_KINDS: items, **{kind: [item for item in items if kind_of(item) == kind] for kind in kinds}}


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixel counts of one prediction against one ground truth; every metric is made from these."""

    intersection: int
    predicted: int
    truth: int

    @classmethod
    def between(cls, prediction: BoolMask, truth: BoolMask) -> Overlap:
        """Count the pixels of two bool masks ``[H, W]`` of one size."""
        if prediction.shape != truth.shape or prediction.dtype != np.bool_ or truth.dtype != np.bool_:
            found = f"{prediction.dtype} {prediction.shape} and {truth.dtype} {truth.shape}"
            raise ValueError(f"prediction and ground truth must be bool masks of one size, found {found}")
        counts = (np.count_nonzero(mask) for mask in (prediction & truth, prediction, truth))
        return cls(*(int(count) for count in counts))

    @property
    def union(self) -> int:
        """Pixels that either mask covers."""
        return self.predicted + self.truth - self.intersection

    @property
    def iou(self) -> float:
        """Intersection over union; 1 when both masks are empty."""
        return self.intersection / self.union if self.union else 1.0


@dataclass(frozen=True, slots=True)
class MaskScores:
    """How well masks fit over the expressions (or objects) that have a ground-truth mask."""

    n: int
    miou: float
    miou_ci: tuple[float, float]
    """95 % confidence interval of the mean IoU, see :func:`bootstrap_interval`."""
    oiou: float
    precision: dict[str, float]
    """Pr@X by X, for X of :data:`PRECISION_THRESHOLDS`."""


@dataclass(frozen=True, slots=True)
class ReferringScores:
    """One row of the table: all expressions, or those of one kind. ``None`` where no expression decides the figure."""

    n: int
    targets: MaskScores | None
    """Target expressions, with the masks that a user gets (nothing where the engine says there is nothing)."""
    targets_ungated: MaskScores | None
    """The same with the masks before the engine decides whether anything is there; ``None`` if it offers none."""
    giou: float | None
    ciou: float | None
    n_no_target: int
    n_acc: float | None
    t_acc: float | None


@dataclass(slots=True)
class MaskScorer:
    """Collects overlaps with a non-empty ground truth and sums them up as :class:`MaskScores`."""

    overlaps: list[Overlap] = field(default_factory=list)
    groups: list[Hashable] = field(default_factory=list)

    def add(self, overlap: Overlap, group: Hashable = None) -> None:
        """Take one overlap in; ``group`` names the image, so that the confidence interval resamples images."""
        self.overlaps.append(overlap)
        self.groups.append(len(self.groups) if group is None else group)

    def scores(self) -> MaskScores | None:
        """The table row, or ``None`` when nothing was added."""
        if not self.overlaps:
            return None
        ious = np.array([overlap.iou for overlap in self.overlaps])
        union = sum(overlap.union for overlap in self.overlaps)
        return MaskScores(
            n=ious.size,
            miou=float(ious.mean()),
            miou_ci=bootstrap_interval(ious, self.groups),
            oiou=sum(overlap.intersection for overlap in self.overlaps) / union,
            precision={f"{threshold}": float((ious >= threshold).mean()) for threshold in PRECISION_THRESHOLDS},
        )


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    group: Hashable
    gated: Overlap
    ungated: Overlap | None


class ReferringMetrics:
    """Takes one expression after the other and yields the table of all and of each kind."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        prediction: BoolMask,
        truth: BoolMask,
        kind: str,
        *,
        ungated: BoolMask | None = None,
        group: Hashable = None,
    ) -> None:
        """Compare one expression's prediction with its ground truth.

        Args:
            prediction: bool ``[H, W]``, the union of all segments returned; empty when none was.
            truth: bool ``[H, W]``, the union of all objects referred to; empty for a no-target expression.
            kind: row of the table, for example ``spatial``.
            ungated: bool ``[H, W]``, the mask before the engine's decision whether anything is there.
            group: what names the image; expressions of one image are resampled together in confidence intervals.
        """
        overlap_ungated = None if ungated is None else Overlap.between(ungated, truth)
        self.add_overlaps(Overlap.between(prediction, truth), kind, ungated=overlap_ungated, group=group)

    def add_overlaps(self, gated: Overlap, kind: str, *, ungated: Overlap | None = None, group: Hashable = None) -> None:
        """Take in what :meth:`add` would count, where the counts are known already."""
        self._rows.append(_Row(kind, len(self._rows) if group is None else group, gated, ungated))

    def table(self) -> dict[str, ReferringScores]:
        """The row :data:`ALL_KINDS` first, then one row for each kind in alphabetical order."""
        return {name: _score(rows) for name, rows in by_kind(self._rows, lambda row: row.kind).items()}


def _score(rows: Sequence[_Row]) -> ReferringScores:
    targets = [row for row in rows if row.gated.truth > 0]
    no_targets = [row for row in rows if row.gated.truth == 0]
    gated, ungated = MaskScorer(), MaskScorer()
    for row in targets:
        gated.add(row.gated, row.group)
        if row.ungated is not None:
            ungated.add(row.ungated, row.group)
    total_union = sum(row.gated.union for row in rows)
    return ReferringScores(
        n=len(rows),
        targets=gated.scores(),
        targets_ungated=ungated.scores(),
        giou=_mean([row.gated.iou for row in rows]),
        ciou=sum(row.gated.intersection for row in rows) / total_union if total_union else None,
        n_no_target=len(no_targets),
        n_acc=_mean([row.gated.predicted == 0 for row in no_targets]),
        t_acc=_mean([row.gated.predicted > 0 for row in targets]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def bootstrap_interval(
    values: npt.ArrayLike,
    groups: Sequence[Hashable] | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of a mean by the percentile bootstrap.

    Args:
        values: float ``[N]``.
        groups: ``N`` names; values of one group (the expressions of one image) depend on each other and are drawn together.
        level: share of the resampled means that the interval covers.
        resamples: how many times the groups are drawn with replacement.
        seed: the same values and seed give the same interval.

    Raises:
        ValueError: there are no values, or as many groups as values are not given.
    """
    array = np.asarray(values, float)
    sums, sizes = resampled_sums(np.stack([array, np.ones_like(array)], axis=1), groups, resamples=resamples, seed=seed).T
    interval = interval_of(sums / sizes, level)
    assert interval is not None  # every draw has at least one value
    return interval
