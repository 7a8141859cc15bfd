"""Small overlays for the report: what was found and should have been, what was missed, what is too much."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from models.data.dataset_folder import DatasetFolder
from models.data.emoji_scenes import SceneSet
from models.data.sample import Sample
from models.results.rows import ExpressionRow, from_drawn
from models.types import BoolMask, RgbImage

RIGHT = (0, 158, 115)
MISSED = (0, 114, 178)
TOO_MUCH = (213, 94, 0)
"""Colours that remain apart for colour-blind people (after Okabe and Ito)."""

_OPACITY = 0.6
_FADED = 0.65
"""How far the image goes towards grey, so that a bright image does not outshine the colours."""

_JPEG_QUALITY = 80

ReadImage = Callable[[Path], RgbImage]


class ImageFinder:
    """Finds the images that an evaluation was about.

    Args:
        data: the field ``data`` of its results.
        read_image: decodes an image file; raises ``OSError`` or ``ValueError`` where it cannot.
    """

    def __init__(self, data: dict[str, Any], read_image: ReadImage) -> None:
        self._read_image = read_image
        self._folder: DatasetFolder | None = None
        self._scenes: SceneSet | None = None
        try:
            if data["kind"] == "scenes":
                self._scenes = SceneSet(data["path"])
            else:
                self._folder = DatasetFolder(data["path"])
        except (OSError, ValueError):
            return  # the data were moved or deleted: the report does without pictures, and says so

    def find(self, name: str) -> RgbImage | None:
        """The image uint8 ``[H, W, 3]``, or ``None`` where it is gone."""
        try:
            if self._scenes is not None:
                index = int(name.rpartition("/")[2])
                height, width = self._scenes.meta(index).size_hw
                return self._scenes.image(index)[:height, :width]
            if self._folder is not None:
                return self._read_image(self._folder.image_path(Sample(name, (1, 1))))
        except (OSError, ValueError, IndexError):
            return None
        return None


def draw_case(image: RgbImage, row: ExpressionRow) -> str:
    """An answer over its image as a ``data:`` URI of a JPEG, of the size at which rows keep masks; the ground truth is outlined."""
    truth, found = from_drawn(row.truth_drawn), from_drawn(row.found_drawn)
    canvas = draw_masks(image, truth & found, truth & ~found, found & ~truth)
    for mask, colour in ((found, TOO_MUCH), (truth, (255, 255, 255))):
        _outline(canvas, mask, colour)
    return to_uri(canvas)


def draw_masks(image: RgbImage, right: BoolMask, missed: BoolMask, too_much: BoolMask) -> RgbImage:
    """The image, uint8 ``[h, w, 3]`` at the size ``[h, w]`` of the masks, faded, with each mask in its colour."""
    height, width = right.shape
    small = np.array(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    grey = small.mean(axis=2, keepdims=True)
    canvas: RgbImage = (small * (1 - _FADED) + grey * _FADED).astype(np.uint8)
    for mask, colour in ((right, RIGHT), (missed, MISSED), (too_much, TOO_MUCH)):
        canvas[mask] = (canvas[mask] * (1 - _OPACITY) + np.array(colour) * _OPACITY).astype(np.uint8)
    return canvas


def _outline(canvas: RgbImage, mask: BoolMask, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 1)


def to_jpeg(canvas: RgbImage) -> bytes:
    """A picture as a JPEG file."""
    buffer = BytesIO()
    Image.fromarray(canvas).save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def to_uri(canvas: RgbImage) -> str:
    """A picture as a ``data:`` URI of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(to_jpeg(canvas)).decode("ascii")
