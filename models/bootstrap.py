"""The bootstrap over images: what a sum over a data set would have been, had other images of the same kind been drawn."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
"""Share of the resampled figures that an interval covers."""

FEWEST_IMAGES = 5
"""Of fewer images no interval is told: drawing two or three again and again says nothing of what a fourth would have been like."""

_MOST_COUNTS = 10_000_000
"""Drawn counts in memory at a time."""


def resampled_sums(values: npt.ArrayLike, groups: Sequence[Hashable] | None = None, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Sums of columns over groups that are drawn with replacement, as often as there are groups.

    Args:
        values: float ``[N, M]``.
        groups: ``N`` names; rows of one group (the expressions of one image) depend on each other and are drawn together.
        resamples: how many times to draw.
        seed: the same groups and seed give the same draws, so that sums of two tables over the same groups are paired.

    Returns:
        float ``[resamples, M]``.

    Raises:
        ValueError: there are no values, or as many groups as rows are not given.
    """
    table = np.asarray(values, float)
    names = range(len(table)) if groups is None else groups
    if len(table) == 0 or len(names) != len(table):
        raise ValueError(f"expected at least one value and a group for each, found {len(table)} values and {len(names)} groups")
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    member_of = np.array([numbers[name] for name in names])
    sums = np.stack([np.bincount(member_of, weights=column) for column in table.T], axis=1)
    return np.concatenate([counts @ sums for counts in draws(len(sums), resamples=resamples, seed=seed)])


def draws(n_groups: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[npt.NDArray[np.int64]]:
    """How often each of ``n_groups`` is drawn: parts int ``[r, n_groups]`` of all ``resamples`` rows, so that memory stays small."""
    random, share = np.random.default_rng(seed), np.full(n_groups, 1 / n_groups)
    at_once = max(1, _MOST_COUNTS // n_groups)
    for done in range(0, resamples, at_once):
        yield random.multinomial(n_groups, share, size=min(at_once, resamples - done))


def interval_of(resampled: npt.ArrayLike, level: float = LEVEL) -> tuple[float, float] | None:
    """The middle ``level`` of resampled figures ``[R]`` (percentile bootstrap); undefined ones (NaN) are left out, ``None`` if all are."""
    figures = np.asarray(resampled, float)
    defined = figures[~np.isnan(figures)]
    if defined.size == 0:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
