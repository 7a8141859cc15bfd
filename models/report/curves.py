"""What the report's charts draw, from the rows of single expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.bootstrap import Floats
from models.report.charts import Bar, Point
from models.results.rows import ExpressionRow

_STEPS = 40
_BINS = 20
_CALIBRATION_BINS = 10


def share_above(ious: Sequence[float]) -> list[Point]:
    """Share of the values that reach X, for X from 0 to 1: Pr@X over the whole range; nothing for no values."""
    values = np.array(ious, float)
    thresholds = np.linspace(0, 1, _STEPS + 1)
    return [(float(x), float((values >= x).mean())) for x in thresholds] if values.size else []


def bars_of(values: Sequence[float], lowest: float = 0.0) -> tuple[list[Bar], int]:
    """Counts of the values in twentieths of the way from ``lowest`` to 1, and the highest of them."""
    counts, edges = np.histogram(np.array(values, float), bins=_BINS, range=(lowest, 1))
    highest = max(1, int(counts.max()))
    names = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    return [Bar(name, int(count), count / highest) for name, count in zip(names, counts, strict=True)], highest


@dataclass(frozen=True, slots=True)
class Presence:
    """How well the engine tells whether anything is there.

    Args:
        curve: recall and precision, for falling thresholds.
        decision: recall and precision of its own decision; ``None`` where undefined.
        calibration: mean presence and share with a target, by tenths of presence; empty tenths are left out.
        average_precision: area below the curve, as a sum of steps.
        calibration_error: mean distance of the tenths from the diagonal, weighted by their size.
    """

    curve: list[Point]
    decision: Point | None
    calibration: list[Point]
    average_precision: float
    calibration_error: float


def presence_of(rows: Sequence[ExpressionRow]) -> Presence | None:
    """``None`` unless every row has a presence, and some refer to something and some to nothing."""
    presences = [row.presence for row in rows]
    scores = np.array([one for one in presences if one is not None], float)
    is_there = np.array([row.clean.truth > 0 for row in rows])
    if len(scores) != len(rows) or not is_there.any() or is_there.all():
        return None
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(is_there[order])
    last_of_its_score = np.append(np.diff(scores[order]) != 0, True)
    recall = (right / is_there.sum())[last_of_its_score]
    precision = (right / np.arange(1, len(rows) + 1))[last_of_its_score]
    answered = np.array([row.clean.predicted > 0 for row in rows])
    both = float((answered & is_there).sum())
    decision = (both / float(is_there.sum()), both / float(answered.sum())) if answered.any() else None
    points, error = _calibration(scores, is_there.astype(float))
    return Presence(
        curve=_thinned([(float(x), float(y)) for x, y in zip(recall, precision, strict=True)]),
        decision=decision,
        calibration=points,
        average_precision=float((np.diff(recall, prepend=0) * precision).sum()),
        calibration_error=error,
    )


def _calibration(scores: Floats, is_there: Floats) -> tuple[list[Point], float]:
    bins = np.minimum((scores * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    points, error = [], 0.0
    for number in range(_CALIBRATION_BINS):
        members = bins == number
        if members.any():
            said, was = float(scores[members].mean()), float(is_there[members].mean())
            points.append((said, was))
            error += abs(said - was) * float(members.mean())
    return points, error


def _thinned(points: list[Point], most: int = 400) -> list[Point]:
    """Every so many points, the last one included: more cannot be seen."""
    step = max(1, len(points) // most)
    return [*points[:-1:step], points[-1]]
