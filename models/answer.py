"""What an engine may tell about a phrase beyond the segments it found: the mask and the decision behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from models.types import BoolMask, RgbImage, Segment


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One phrase on one image, before and after the engine decides whether the phrase refers to anything."""

    mask: BoolMask
    """bool ``[H, W]`` at original resolution: the mask the engine would give if it had to give one; may be empty."""
    presence: float
    """How sure the engine is that the phrase refers to something in the image, 0..1."""
    segments: list[Segment]
    """What :meth:`models.engine.Engine.segment` returns for the phrase."""


@runtime_checkable
class ScoredEngine(Protocol):
    """An engine that can also be asked for the masks behind its decision. Optional: evaluation uses it where it is offered."""

    def segment_scored(self, image: RgbImage, phrases: Sequence[str]) -> list[Answer]:
        """One answer per phrase; ``segments`` equal those of ``segment`` on the same input."""
