"""Which images to have annotated next: doubtful ones that are unlike each other. Pure and deterministic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.image_vectors import Vector

Floats = npt.NDArray[np.floating]


def choose_batch(vectors: Floats, doubts: Floats, budget: int, *, known: Floats | None = None) -> list[int]:
    """Choose images one after the other, each the one whose doubt times distance from everything chosen or known is largest.

    This is the greedy rule for k-centers (Gonzalez 1985; core-set selection of Sener and Savarese, 2018) with distances weighted by doubt,
    so that neither fifty copies of one difficult scene are chosen nor fifty different scenes that are right already.

    Args:
        vectors: float ``[N, D]`` of length 1 each, one per image; see :func:`models.image_vectors.image_vector`.
        doubts: float ``[N]``, 0..1.
        budget: how many to choose at most.
        known: float ``[M, D]``, images that are annotated already.

    Returns:
        Places in ``vectors``, the most valuable first. Ties go to the first of them.

    Raises:
        ValueError: there is not one doubt per vector, or the budget is negative.
    """
    if len(vectors) != len(doubts):
        raise ValueError(f"every image needs one doubt, found {len(vectors)} vectors and {len(doubts)} doubts")
    if budget < 0:
        raise ValueError(f"a budget must not be negative, found {budget}")
    weights = np.asarray(doubts, np.float64) + _LEAST_DOUBT
    nearest = np.full(len(vectors), np.inf)
    for vector in () if known is None else known:
        nearest = np.minimum(nearest, _distances(vectors, vector))
    nearest[np.isinf(nearest)] = _FARTHEST
    chosen: list[int] = []
    values = weights * nearest
    for _ in range(min(budget, len(vectors))):
        best = int(np.argmax(values))
        chosen.append(best)
        nearest = np.minimum(nearest, _distances(vectors, vectors[best]))
        values = weights * nearest
        values[chosen] = -1.0
    return chosen


_LEAST_DOUBT = 1e-6
"""Images without any doubt are still told apart by their distance."""

_FARTHEST = 2.0
"""Largest distance of two vectors of length 1."""


def _distances(vectors: Floats, vector: Vector) -> npt.NDArray[np.float64]:
    # |a - b|² = 2 - 2ab for vectors of length 1; rounding may bring it just below 0.
    return np.asarray(np.sqrt(np.maximum(0.0, 2.0 - 2.0 * (vectors @ vector))), np.float64)
