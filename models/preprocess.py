"""Images on the way into the networks and masks on the way out: resize-and-pad and its inverse.

CLIP and SAM see the same image differently (spec sections 2.1 and 2.2): each has its own size, rounding, position on the canvas and
normalisation. Padding is zero *after* normalisation in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.types import Box, RgbImage

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's channel statistics, of values in 0..1."""
SAM_MEAN = (123.675, 116.28, 103.53)
SAM_STD = (58.395, 57.12, 57.375)
"""SAM's channel statistics, of values in 0..255."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where an image lies on a square canvas.

    Args:
        original_hw: size of the image in pixels.
        resized_hw: size of the image on the canvas.
        top: first row of the image on the canvas.
        left: first column of the image on the canvas.
        side: of the canvas.
    """

    original_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    top: int
    left: int
    side: int

    def box_to_canvas(self, box: Box) -> Box:
        """Pixels of the original image -> pixels of the canvas."""
        scale_y, scale_x = self._scales()
        x0, y0, x1, y1 = box
        return x0 * scale_x + self.left, y0 * scale_y + self.top, x1 * scale_x + self.left, y1 * scale_y + self.top

    def box_to_image(self, box: Box) -> Box:
        """Pixels of the canvas -> pixels of the original image, clamped to it (spec 4.5)."""
        scale_y, scale_x = self._scales()
        height, width = self.original_hw
        x0, x1 = (min(max(x - self.left, 0.0) / scale_x, float(width)) for x in box[0::2])
        y0, y1 = (min(max(y - self.top, 0.0) / scale_y, float(height)) for y in box[1::2])
        return x0, y0, x1, y1

    def padding(self) -> npt.NDArray[np.int32]:
        """int32 ``[side, side]``, 1 on padding and 0 on the image."""
        mask = np.ones((self.side, self.side), dtype=np.int32)
        mask[self.top : self.top + self.resized_hw[0], self.left : self.left + self.resized_hw[1]] = 0
        return mask

    def _scales(self) -> tuple[float, float]:
        # The two axes are rounded apart, so each has its own true ratio.
        return self.resized_hw[0] / self.original_hw[0], self.resized_hw[1] / self.original_hw[1]


def clip_letterbox(original_hw: tuple[int, int], side: int, place: Literal["centre", "top-left"] = "centre") -> Letterbox:
    """CLIP's canvas: long side to ``side`` with Python's rounding, centred as in the published evaluation."""
    height, width = original_hw
    ratio = side / max(height, width)
    resized = max(1, round(height * ratio)), max(1, round(width * ratio))
    if place == "top-left":
        return Letterbox(original_hw, resized, 0, 0, side)
    return Letterbox(original_hw, resized, (side - resized[0]) // 2, (side - resized[1]) // 2, side)


def sam_letterbox(original_hw: tuple[int, int], side: int) -> Letterbox:
    """SAM's canvas: long side to ``side``, halves rounded up, image at the top left."""
    height, width = original_hw
    scale = side / max(height, width)
    resized = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    return Letterbox(original_hw, resized, 0, 0, side)


def clip_image(image: RgbImage, letterbox: Letterbox) -> Tensor:
    """uint8 ``[H, W, 3]`` -> float ``[3, S, S]`` as CLIP of SSP-SAM takes it."""
    return place(normalise_clip(_resized(image, letterbox)), letterbox)


def sam_image(image: RgbImage, letterbox: Letterbox) -> Tensor:
    """uint8 ``[H, W, 3]`` -> float ``[3, S, S]`` as SAM takes it."""
    return place(normalise_sam(_resized(image, letterbox)), letterbox)


def normalise_clip(pixels: Tensor) -> Tensor:
    """``[..., 3, H, W]`` in 0..255 -> CLIP's normalised values."""
    return (pixels / 255.0 - pixels.new_tensor(CLIP_MEAN).view(3, 1, 1)) / pixels.new_tensor(CLIP_STD).view(3, 1, 1)


def normalise_sam(pixels: Tensor) -> Tensor:
    """``[..., 3, H, W]`` in 0..255 -> SAM's normalised values."""
    return (pixels - pixels.new_tensor(SAM_MEAN).view(3, 1, 1)) / pixels.new_tensor(SAM_STD).view(3, 1, 1)


def place(pixels: Tensor, letterbox: Letterbox) -> Tensor:
    """``[3, h, w]`` -> ``[3, side, side]``, zeros around."""
    height, width = letterbox.resized_hw
    bottom, right = letterbox.side - letterbox.top - height, letterbox.side - letterbox.left - width
    return F.pad(pixels, (letterbox.left, right, letterbox.top, bottom))


def masks_to_image(low_res_logits: Tensor, letterbox: Letterbox) -> Tensor:
    """Stock SAM's way from logits of the padded square to the original image (spec 4.6).

    Args:
        low_res_logits: float ``[K, h, w]`` over the whole canvas.
        letterbox: SAM's.

    Returns:
        logits float ``[K, H, W]`` at the original resolution; compare with 0.
    """
    side, (height, width) = letterbox.side, letterbox.resized_hw
    canvas = F.interpolate(low_res_logits.unsqueeze(1), (side, side), mode="bilinear", align_corners=False)
    cropped = canvas[..., letterbox.top : letterbox.top + height, letterbox.left : letterbox.left + width]
    return F.interpolate(cropped, letterbox.original_hw, mode="bilinear", align_corners=False).squeeze(1)


def _resized(image: RgbImage, letterbox: Letterbox) -> Tensor:
    """uint8 ``[H, W, 3]`` -> float ``[3, h, w]`` in 0..255; PIL's bilinear, which antialiases, as in the published code."""
    height, width = letterbox.resized_hw
    picture = Image.fromarray(image)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
