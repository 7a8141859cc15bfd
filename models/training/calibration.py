"""Choosing when a phrase counts as "not here": on calibration scenes, never on the scenes that are reported."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from models.answer import ScoredEngine
from models.evaluation import Sample
from models.phrase_parts import parts_of

KEPT_TARGETS = 0.958
"""Share of phrases with a target that must still be answered: a mask that never appears annoys more than one to delete."""


def calibrate_presence(engine: ScoredEngine, samples: Iterable[Sample]) -> float:
    """The highest presence threshold that still answers :data:`KEPT_TARGETS` of the phrases that have a target.

    Phrases for several things have no say: any of their parts gets them a mask, and counting them would ask more of all others.

    Args:
        engine: its own threshold does not matter.
        samples: scenes with expressions, some with a target.

    Raises:
        ValueError: there is no such phrase.
    """
    present: list[float] = []
    for sample in samples:
        asked = [one.text for one in sample.expressions if one.mask.any() and len(parts_of(one.text)) == 1]
        present += [answer.presence for answer in engine.segment_scored(sample.image, asked)]
    if not present:
        raise ValueError("found no expression for one target among the calibration samples; use a split that has some")
    return presence_threshold(np.array(present))


def presence_threshold(present: npt.NDArray[np.float64]) -> float:
    """The threshold for the presence probabilities of phrases that do have a target, float ``[n]``, rounded down to 0.001."""
    return float(np.floor(np.quantile(present, 1 - KEPT_TARGETS) * 1000) / 1000)
