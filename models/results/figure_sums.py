"""Every figure of referring segmentation as one sum over another, which is the form that can be resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.bootstrap import Floats
from models.official_metrics import EMPTY_BELOW, official_iou
from models.results.referring import CLEAN
from models.results.rows import ExpressionRow

THRESHOLDS = ("0.5", "0.7", "0.9")
FIGURES = ("miou", "oiou", *(f"pr@{threshold}" for threshold in THRESHOLDS), "giou", "ciou", "n_acc", "t_acc")


@dataclass(frozen=True, slots=True, eq=False)
class FigureSums:
    """What each expression adds above and below the line of each figure.

    Args:
        above: float ``[N, F]``, columns as in :data:`FIGURES`.
        below: float ``[N, F]``; a figure is undefined where they sum up to zero.
    """

    above: Floats
    below: Floats

    @classmethod
    def of(cls, rows: Sequence[ExpressionRow], protocol: str) -> FigureSums:
        """The sums of some rows under :data:`models.results.referring.CLEAN` or ``OFFICIAL``."""
        is_clean = protocol == CLEAN
        overlaps = [row.clean if is_clean else row.official for row in rows]
        intersection, predicted, truth = np.array([(one.intersection, one.predicted, one.truth) for one in overlaps], float).T
        iou = np.array([one.iou if is_clean else official_iou(one) for one in overlaps])
        union = predicted + truth - intersection
        everything, has_target = np.ones(len(rows)), truth > 0
        is_empty = predicted < (1 if is_clean else EMPTY_BELOW)
        judged_union = union if is_clean else np.where(~has_target & is_empty, 0, union)
        counted = has_target if is_clean else everything  # the official code averages over all expressions
        pairs = [(iou * counted, counted), (intersection * counted, judged_union * counted)]
        pairs += [((iou >= float(threshold)) * counted, counted) for threshold in THRESHOLDS]
        pairs += [(iou, everything), (intersection, judged_union)]
        pairs += [(is_empty & ~has_target, ~has_target), (~is_empty & has_target, has_target)]
        above, below = zip(*pairs, strict=True)
        return cls(np.stack(above, axis=1).astype(float), np.stack(below, axis=1).astype(float))

    def figures(self) -> Floats:
        """Float ``[F]``, NaN where undefined."""
        return divide(self.above.sum(axis=0), self.below.sum(axis=0))


def divide(above: Floats, below: Floats) -> Floats:
    """Quotients, NaN where ``below`` is zero."""
    quotients: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
    return quotients
