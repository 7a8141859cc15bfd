"""One figure of two evaluations, and how sure their difference is."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.bootstrap import FEWEST_IMAGES, Floats, interval_of

Difference = dict[str, Any]
"""``a``, ``b``, ``difference`` (b - a), its ``interval``, and ``verdict``: ``better``, ``worse`` or ``unclear``."""


def difference(a: float, b: float, resampled: Floats, n_images: int) -> Difference:
    """Describe a difference.

    Args:
        a: figure of the first evaluation, NaN where undefined.
        b: of the second.
        resampled: float ``[R]``, the difference over images drawn again.
        n_images: how many images there are; no interval is told of fewer than :data:`models.bootstrap.FEWEST_IMAGES`.
    """
    if np.isnan(a) or np.isnan(b):
        return {"a": _or_none(a), "b": _or_none(b), "difference": None, "interval": None, "verdict": None}
    interval = interval_of(resampled) if n_images >= FEWEST_IMAGES else None
    verdict = "unclear"
    if interval is not None and interval[0] > 0:
        verdict = "better"
    elif interval is not None and interval[1] < 0:
        verdict = "worse"
    return {"a": float(a), "b": float(b), "difference": float(b - a), "interval": interval, "verdict": verdict}


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
