"""Value types that cross the border between the models and everything around them. NumPy only: no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

BoolMask: TypeAlias = npt.NDArray[np.bool_]
"""bool ``[H, W]`` at the resolution of the original image."""

RgbImage: TypeAlias = npt.NDArray[np.uint8]
"""uint8 ``[H, W, 3]``, RGB, already turned the way its EXIF orientation says."""

Box: TypeAlias = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in pixels of the original image; right and bottom edges are exclusive."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One region of one image, found for one piece of text (or for a click or a box).

    Args:
        text: the phrase or label that asked for the region; empty when a click or a box did.
        mask: bool ``[H, W]`` at the resolution of the original image, at least one pixel true.
        score: how sure the model is, 0..1.

    Raises:
        TypeError: the mask is not a bool array.
        ValueError: the mask is not two-dimensional or is empty, or the score lies outside 0..1.
    """

    text: str
    mask: BoolMask
    score: float

    def __post_init__(self) -> None:
        if not isinstance(self.mask, np.ndarray) or self.mask.dtype != np.bool_:
            found = getattr(self.mask, "dtype", type(self.mask).__name__)
            raise TypeError(f"a Segment's mask must be a bool array, found {found}; compare logits with a threshold first")
        if self.mask.ndim != 2:
            raise ValueError(f"a Segment's mask must be [H, W], found shape {self.mask.shape}")
        if not self.mask.any():
            raise ValueError("a Segment's mask must cover at least one pixel; leave the segment out instead")
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a Segment's score must lie in 0..1, found {self.score}")

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the original image in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def area(self) -> int:
        """Number of pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> Box:
        """The smallest box around the mask."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        columns = np.flatnonzero(self.mask.any(axis=0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def check_rgb_image(image: RgbImage) -> None:
    """Raise ``ValueError`` unless ``image`` is uint8 ``[H, W, 3]`` with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"an image must be a uint8 array [H, W, 3] in RGB, found {found}")
