"""When a phrase counts as answered, chosen again for what was learned: new images move what the presence head says of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.finetuning.validation import Judged, sums_of
from models.version_folder import fair_mean

FEWEST = 20
"""Expressions of either kind, for something and for nothing, that a domain must have to be asked: of fewer, the best is the luckiest."""
NOISE = 0.03
"""Thresholds whose mean IoU differs by less are as good as each other: a few dozen expressions tell no more."""
CANDIDATES: tuple[float, ...] = tuple(np.round(np.arange(0.2, 0.81, 0.02), 2).tolist())


def choose_threshold(own: Sequence[Judged], known: Sequence[Judged], current: float) -> float:
    """A threshold with the highest mean IoU, both domains weighing the same; of equally good ones the nearest to what it was.

    Args:
        own: expressions of the data set. With too few of them the threshold stays.
        known: of the base's own domain; not asked where they are too few. None of either must have taught: of what a network was taught
            it is too sure.
        current: the threshold so far.
    """
    asked = [judged for judged in (own, known) if min(_count(judged, True), _count(judged, False)) >= FEWEST]
    if own not in asked:
        return current

    quality = {one: float(np.mean([fair_mean(*sums_of(judged, one)) for judged in asked])) for one in (*CANDIDATES, current)}
    best = max(quality.values())
    return min((one for one, mean in quality.items() if mean >= best - NOISE), key=lambda one: (abs(one - current), one))


def _count(judged: Sequence[Judged], is_nothing: bool) -> int:
    return sum(one.is_nothing == is_nothing for one in judged)
