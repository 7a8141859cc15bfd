"""One vector per image, so that images can be told apart and alike ones be seen, without knowing what is in them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from models.engine import Engine
from models.types import RgbImage, check_rgb_image

Vector = npt.NDArray[np.float32]
"""float32 ``[D]`` of length 1."""

_THUMBNAIL = 8


@runtime_checkable
class DescribingEngine(Protocol):
    """An engine that has a vector for an image anyhow. Optional."""

    def describe(self, image: RgbImage) -> Vector:
        """The image uint8 ``[H, W, 3]`` as float32 ``[D]`` of length 1: alike images have vectors that lie close together."""


def image_vector(engine: Engine, image: RgbImage) -> Vector:
    """What an engine makes of an image as a whole.

    Args:
        engine: one that offers no vector is not asked: a thumbnail's colours take its place.
        image: uint8 ``[H, W, 3]`` RGB.

    Returns:
        float32 ``[D]`` of length 1; vectors of different engines or versions cannot be compared.
    """
    if isinstance(engine, DescribingEngine):
        return engine.describe(image)
    check_rgb_image(image)
    small = cv2.resize(image, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() + 1
    return np.asarray(small / np.linalg.norm(small), np.float32)
