"""What an engine may tell about a phrase beyond the segments it found: the mask and the decision behind them, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from models.metrics import Overlap
from models.types import BoolMask, RgbImage, Segment

SAME_OBJECT_IOU = 0.8
"""Two masks of one answer, or of one control in Label Studio, that overlap more than this are of one object; the surer one stays."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One phrase on one image, before and after the engine decides whether the phrase refers to anything."""

    mask: BoolMask
    """bool ``[H, W]`` at original resolution: the mask the engine would give if it had to give one; may be empty."""
    presence: float
    """How sure the engine is that the phrase refers to something in the image, 0..1."""
    segments: list[Segment]
    """What :meth:`models.engine.Engine.segment` returns for the phrase."""

    @classmethod
    def of_parts(cls, phrase: str, parts: Sequence[Answer]) -> Answer:
        """The answer to a phrase from those to its parts (:mod:`models.phrase_parts`): all that any of them refers to, best first.

        Args:
            phrase: the whole, which its segments name.
            parts: one answer to each, at least one.
        """
        segments: list[Segment] = []
        for one in sorted((segment for part in parts for segment in part.segments), key=lambda segment: -segment.score):
            if all(Overlap.between(one.mask, kept.mask).iou <= SAME_OBJECT_IOU for kept in segments):
                segments.append(replace(one, text=phrase))
        mask = np.logical_or.reduce([part.mask for part in parts])
        return cls(mask, max(part.presence for part in parts), segments)


@runtime_checkable
class ScoredEngine(Protocol):
    """An engine that can also be asked for the masks behind its decision. Optional: evaluation uses it where it is offered."""

    def segment_scored(self, image: RgbImage, phrases: Sequence[str]) -> list[Answer]:
        """One answer per phrase; ``segments`` equal those of ``segment`` on the same input."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an engine knows about its own answer to one phrase; :mod:`models.doubt` makes one figure of it."""

    is_found: bool
    """Whether the engine answered with a segment."""
    presence: float
    """How sure it is that the phrase refers to something in the image, 0..1."""
    predicted_iou: float
    """Its guess of the IoU of the mask it has, given or not, 0..1."""
    stability: float
    """How little that mask changes with its threshold, 0..1; see :func:`models.doubt.mask_stability`."""
    relevance_entropy: float | None = None
    """How open its map of relevant places is, 0..1; ``None`` for networks without one; see :func:`models.doubt.map_entropy`."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """An answer with what the engine knows about it."""

    segments: list[Segment]
    """What :meth:`models.engine.Engine.segment` returns for the phrase."""
    evidence: Evidence


@runtime_checkable
class JudgingEngine(Protocol):
    """An engine that judges its own answers. Optional: without it, the scores of segments are all that is known of doubt."""

    def segment_judged(self, image: RgbImage, phrases: Sequence[str]) -> list[Judged]:
        """One answer per phrase; ``segments`` equal those of ``segment`` on the same input."""
