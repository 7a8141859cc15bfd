"""What every engine offers: words (or clicks, or boxes) and an image in, segments out.

This file holds the contract only and imports no torch; ``load_engine`` builds the engine that a profile names, and is imported with torch
when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.types import Box, RgbImage, Segment

if TYPE_CHECKING:
    from models.loading import load_engine

__all__ = ["Engine", "EngineMemoryError", "PlacedEngine", "load_engine"]


def __getattr__(name: str) -> Any:
    if name == "load_engine":
        from models.loading import load_engine

        return load_engine
    raise AttributeError(f"module {__name__!r} has no name {name!r}; it has {', '.join(__all__)}")


class EngineMemoryError(RuntimeError):
    """Memory ran out, even for the smallest batch. The engine stays usable: the next call may find memory again."""


@runtime_checkable
class Engine(Protocol):
    """A text-to-mask model, ready to answer. Safe to call from several threads at once. Any call may raise :class:`EngineMemoryError`."""

    @property
    def name(self) -> str:
        """The profile that is served, for example ``tiny``."""

    @property
    def version(self) -> str:
        """Name of the weights; changes whenever they do. Label Studio knows it as ``model_version``."""

    def segment(self, image: RgbImage, phrases: Sequence[str]) -> list[list[Segment]]:
        """Find what each phrase refers to.

        Args:
            image: uint8 ``[H, W, 3]`` RGB.
            phrases: referring expressions; all are decoded in one batch.

        Returns:
            One list per phrase, best first: empty when the phrase refers to nothing, several segments for several instances.
        """

    def segment_from_points(
        self,
        image: RgbImage,
        points: npt.NDArray[np.floating],
        is_positive: npt.NDArray[np.bool_],
        box: Box | None = None,
    ) -> list[Segment]:
        """Segment the one object that clicks (and, where given, a box) mark.

        Args:
            image: uint8 ``[H, W, 3]`` RGB.
            points: float ``[P, 2]``, x and y in pixels of the image.
            is_positive: bool ``[P]``, false for clicks on what does not belong to the object.
            box: pixels ``(x0, y0, x1, y1)`` around the object.

        Returns:
            One segment, or none when no pixel was found.
        """

    def segment_from_boxes(self, image: RgbImage, boxes: npt.NDArray[np.floating]) -> list[Segment | None]:
        """Segment the object inside each box, float ``[B, 4]`` ``x0, y0, x1, y1`` in pixels; ``None`` where no pixel was found."""


@runtime_checkable
class PlacedEngine(Protocol):
    """An engine that tells where and how precisely it computes, for those who run it."""

    @property
    def placement(self) -> Mapping[str, str]:
        """``device``, for example ``cuda:0``, and ``precision``, for example ``bfloat16``."""
