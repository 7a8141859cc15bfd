"""Which answers a report shows as pictures: the worst and the best of each kind, the surest mistakes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.report.pictures import ImageFinder, draw_case
from models.results.comparison import Pair
from models.results.rows import ExpressionRow

MOST_WORST = 48
MOST_BEST = 24
MOST_CHANGES = 30
"""In each direction, of a comparison."""

_MOST_OF_ONE_IMAGE = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One answer with its picture; ``None`` where the image is gone."""

    row: ExpressionRow
    group: str
    """``worst`` or ``best``."""
    picture: str | None

    @property
    def outcome(self) -> str:
        """What happened, in words."""
        return outcome_of(self.row)


def outcome_of(row: ExpressionRow) -> str:
    """What happened to an expression, in words; the names stand in the report's filter."""
    if row.clean.truth == 0:
        return "false alarm" if row.clean.predicted else "rightly nothing"
    if row.clean.predicted == 0:
        return "missed"
    if row.clean.intersection == 0:
        return "elsewhere"
    return "found" if row.clean.iou >= 0.5 else "poor mask"


OUTCOMES = ("found", "poor mask", "elsewhere", "missed", "false alarm", "rightly nothing")


def choose_cases(rows: Sequence[ExpressionRow], finder: ImageFinder) -> list[Case]:
    """The worst and best answers of each kind, bounded in number, with pictures; worst first."""
    kinds = sorted({row.kind for row in rows})
    worst: list[ExpressionRow] = []
    best: list[ExpressionRow] = []
    for kind in kinds:
        members = sorted((row for row in rows if row.kind == kind), key=_badness)
        worst += _some_of_each_image([row for row in members if row.clean.iou < 0.5], max(1, MOST_WORST // len(kinds)))
        best += _some_of_each_image([row for row in members[::-1] if row.clean.iou >= 0.5], max(1, MOST_BEST // len(kinds)))
    chosen = [(row, "worst") for row in sorted(worst, key=_badness)[:MOST_WORST]]
    chosen += [(row, "best") for row in sorted(best, key=_badness, reverse=True)[:MOST_BEST]]
    return [Case(row, group, _picture(finder, row)) for row, group in chosen]


def _badness(row: ExpressionRow) -> tuple[float, float, float]:
    """Small for bad answers; of equals the surest, then that with the largest object comes first."""
    sureness = row.score if row.presence is None else row.presence
    return row.clean.iou, -sureness, -float(row.clean.truth)


def _some_of_each_image(rows: Sequence[ExpressionRow], most: int) -> list[ExpressionRow]:
    taken: list[ExpressionRow] = []
    for row in rows:
        if len(taken) == most:
            break
        if sum(one.image == row.image for one in taken) < _MOST_OF_ONE_IMAGE:
            taken.append(row)
    return taken


def _picture(finder: ImageFinder, row: ExpressionRow) -> str | None:
    image = finder.find(row.image)
    return None if image is None else draw_case(image, row)


@dataclass(frozen=True, slots=True)
class Change:
    """One expression that two evaluations answered differently, with both pictures."""

    pair: Pair
    group: str
    """``gain`` or ``loss``."""
    pictures: tuple[str | None, str | None]


def choose_changes(pairs: Sequence[Pair], finder: ImageFinder) -> list[Change]:
    """The largest losses, then the largest gains, with pictures."""
    ordered = sorted(pairs, key=lambda pair: pair.gain)
    losses = [pair for pair in ordered if pair.gain < 0][:MOST_CHANGES]
    gains = [pair for pair in ordered[::-1] if pair.gain > 0][:MOST_CHANGES]
    chosen = [(pair, "loss") for pair in losses] + [(pair, "gain") for pair in gains]
    return [Change(pair, group, (_picture(finder, pair.a), _picture(finder, pair.b))) for pair, group in chosen]
