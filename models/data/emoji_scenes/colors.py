"""Naming and changing the colours of glyphs, by measurement: a colour word is used only where most pixels bear it out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.data.emoji_scenes.vocabulary import COLORS

DOMINANT_SHARE = 0.5
"""A colour names an object when more than this share of its opaque pixels has it."""

PRESENT_SHARE = 0.08
"""A colour counts as present in an object from this share on; then nobody may say that the object lacks it."""

_TARGETS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "red": (0.0, 1.15, 1.0),
        "orange": (27.0, 1.15, 1.05),
        "yellow": (51.0, 1.1, 1.1),
        "green": (122.0, 1.0, 0.95),
        "blue": (214.0, 1.05, 1.0),
        "purple": (275.0, 1.0, 0.95),
        "pink": (330.0, 0.7, 1.15),
    }
)
"""Colour -> hue in degrees, factors for saturation and value."""

Rgba = npt.NDArray[np.uint8]


def color_shares(rgba: Rgba) -> dict[str, float]:
    """Share of the opaque pixels of ``rgba`` (uint8 ``[H, W, 4]``, not premultiplied) that has each colour, 0..1."""
    return pixel_shares(rgba[rgba[..., 3] >= 128][:, :3])


def pixel_shares(rgb: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Share of the pixels uint8 ``[N, 3]`` that has each colour, 0..1; of no pixels, none."""
    if not len(rgb):
        return dict.fromkeys(COLORS, 0.0)
    names = name_pixels(rgb)
    return {color: float(np.mean(names == index)) for index, color in enumerate(COLORS)}


def dominant_color(shares: Mapping[str, float]) -> str | None:
    """The colour that more than half of the pixels have, or ``None``."""
    best = max(shares, key=lambda color: shares[color])
    return best if shares[best] > DOMINANT_SHARE else None


def present_colors(shares: Mapping[str, float]) -> tuple[str, ...]:
    """Colours that a good look finds in the object, in the order of :data:`COLORS`."""
    return tuple(color for color in COLORS if shares[color] >= PRESENT_SHARE)


def recolor(rgba: Rgba, color: str) -> Rgba | None:
    """A copy whose main hue is turned to ``color``; ``None`` where there is no hue to turn or the result does not measure as ``color``."""
    turned = turn_hue(rgba[..., :3], rgba[..., 3] >= 128, *_TARGETS[color])
    if turned is None:
        return None
    result = np.dstack([turned, rgba[..., 3]])
    return result if dominant_color(color_shares(result)) == color else None


def turn_hue(
    rgb: npt.NDArray[np.uint8],
    inside: npt.NDArray[np.bool_],
    hue: float | npt.NDArray[np.float64],
    saturation_factor: float,
    value_factor: float,
) -> npt.NDArray[np.uint8] | None:
    """A copy of uint8 ``[H, W, 3]`` with the main hue of what is ``inside``, bool ``[H, W]``, turned to ``hue``, degrees, one
    for all or ``[H, W]``.

    Only pixels within 50 degrees of the main hue turn, so a red car's tyres and an apple's leaf keep their own colours. ``None`` where less
    than three in ten of the pixels inside have a hue.
    """
    hsv = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    own_hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    colored = inside & (saturation > 0.25) & (value > 0.2)
    if not colored.any() or np.count_nonzero(colored) < 0.3 * np.count_nonzero(inside):
        return None
    offset = (own_hue - _circular_median(own_hue[colored]) + 180) % 360 - 180
    turned = (np.abs(offset) < 50) & (saturation > 0.1)
    hsv[..., 0] = np.where(turned, (hue + 0.35 * offset) % 360, own_hue)
    hsv[..., 1] = np.where(turned, np.clip(saturation * saturation_factor, 0, 1), saturation)
    hsv[..., 2] = np.where(turned, np.clip(value * value_factor, 0, 1), value)
    return np.asarray(np.round(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255), np.uint8)


def name_pixels(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Index into :data:`COLORS` for each pixel of uint8 ``[N, 3]``; -1 where no word fits well."""
    hsv = cv2.cvtColor(rgb.astype(np.float32)[None] / 255, cv2.COLOR_RGB2HSV)[0]
    hue, saturation, value = hsv[:, 0], hsv[:, 1], hsv[:, 2]
    dark, pale = value < 0.27, (saturation < 0.15) | ((saturation < 0.3) & (value < 0.45))
    red_hue = (hue < 14) | (hue >= 345)
    magenta = ((hue >= 295) & (hue < 330)) | ((hue >= 330) & (hue < 345) & (saturation < 0.62))
    tan = (hue >= 8) & (hue < 32) & (value < 0.85)
    conditions = {
        "black": dark,
        "white": pale & (value > 0.85),
        "gray": pale & (value >= 0.35) & (value <= 0.8),
        # Brown is a dark orange; light leather is no darker than some reds, but less saturated.
        "brown": ~pale & (((hue >= 6) & (hue < 45) & (value < 0.68) & (saturation > 0.25)) | (tan & (saturation < 0.68))),
        # A pale or bluish red is pink, but only when it is light: dark ones read as brown or wine.
        "pink": ~pale & (value > 0.6) & (magenta | (red_hue & (saturation < 0.5) & (value > 0.8))),
        "red": ~pale & ((hue < 15) | (hue >= 345)) & (saturation >= 0.58) & (value > 0.4) & ~(tan & (saturation < 0.75)),
        "orange": ~pale & (hue >= 19) & (hue < 37) & (saturation >= 0.5) & (value > 0.78),
        "yellow": ~pale & (hue >= 43) & (hue < 67) & (saturation >= 0.35) & (value > 0.68),
        "green": ~pale & (hue >= 70) & (hue < 168) & (saturation >= 0.2),
        "blue": ~pale & (hue >= 185) & (hue < 252) & (saturation >= 0.22),
        "purple": ~pale & (hue >= 255) & (hue < 292) & (saturation >= 0.2),
    }
    return np.select(list(conditions.values()), [COLORS.index(color) for color in conditions], default=-1)


def _circular_median(degrees: npt.NDArray[Any]) -> float:
    """The fullest 10-degree direction of the circle, smoothed over its neighbours."""
    histogram, _ = np.histogram(degrees, bins=36, range=(0, 360))
    smooth = histogram + 0.5 * (np.roll(histogram, 1) + np.roll(histogram, -1))
    peak = int(np.argmax(smooth)) * 10 + 5
    offsets = (degrees - peak + 180) % 360 - 180
    return float(peak + np.median(offsets[np.abs(offsets) < 25]))
