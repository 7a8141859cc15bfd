"""Other views of an image, so that twenty images teach more than twenty: turned, scaled and mirrored, each embedded once like the image."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.types import BoolMask, RgbImage

SIDES = re.compile("left|right", re.IGNORECASE)
"""Words that a mirror makes untrue."""
LARGEST_ANGLE = 20.0
"""Degrees; what is above stays above."""
SCALES = (0.75, 1.05)
"""Hardly more than the image: what leaves it would still be spoken of."""


@dataclass(frozen=True, slots=True)
class View:
    """How an image is seen.

    Args:
        is_mirrored: left is right.
        angle: degrees it is turned by, against the clock.
        scale: of what it shows.
    """

    is_mirrored: bool = False
    angle: float = 0.0
    scale: float = 1.0

    @property
    def key(self) -> str:
        """Tells it from other views; empty for the image itself."""
        return "" if self == AS_IT_IS else f"-{int(self.is_mirrored)}{self.angle:+.1f}x{self.scale:.2f}"

    def image(self, image: RgbImage) -> RgbImage:
        """The image, uint8 ``[H, W, 3]``, in this view; where it has nothing, its border goes on."""
        return self._seen(image, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)

    def mask(self, mask: BoolMask) -> BoolMask:
        """A mask bool ``[H, W]`` in this view."""
        return self._seen(mask.astype(np.uint8), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT).astype(np.bool_)

    def keeps_true(self, text: str) -> bool:
        """Whether what is said of the image can be said of this view."""
        return not (self.is_mirrored and SIDES.search(text))

    def _seen(self, pixels: npt.NDArray[np.uint8], interpolation: int, border: int) -> npt.NDArray[np.uint8]:
        if self.is_mirrored:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        if (self.angle, self.scale) == (0.0, 1.0):
            return pixels
        height, width = pixels.shape[:2]
        change = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.angle, self.scale)
        seen = cv2.warpAffine(pixels, change, (width, height), flags=interpolation, borderMode=border)
        return np.asarray(seen, np.uint8)


AS_IT_IS = View()


def draw_views(digest: str, count: int) -> list[View]:
    """``count`` views of the image of that digest, always the same: itself, its mirror image, then turned and scaled ones."""
    rng = np.random.default_rng(list(digest.encode()))
    views = [AS_IT_IS, View(is_mirrored=True)]
    while len(views) < count:
        angle, scale = rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE), rng.uniform(*SCALES)
        views.append(View(bool(len(views) % 2), round(float(angle), 1), round(float(scale), 2)))
    return views[:count]
