"""Draws segments over their image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.types import RgbImage, Segment, check_rgb_image

PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167), (150, 90, 220),
)  # fmt: skip
"""Colours that remain apart for colour-blind people (after Okabe and Ito, with one more); reused after the last."""

_OPACITY = 0.45
_LONGEST_LABEL = 40
_INK = (20, 20, 20)
_PAPER = (255, 255, 255)


def draw_overlay(image: RgbImage, phrases: Sequence[str], found: Sequence[Sequence[Segment]]) -> RgbImage:
    """Draw the answers to some phrases over the image they were asked about.

    Args:
        image: uint8 ``[H, W, 3]`` RGB.
        phrases: what was asked for.
        found: one list of segments per phrase, as :meth:`models.engine.Engine.segment` returns them.

    Returns:
        uint8 ``[H', W, 3]`` RGB: each segment in its own translucent colour with an outline and a label of phrase and score;
        ``H'`` exceeds ``H`` by a strip that names the phrases not found, if there are any.

    Raises:
        ValueError: the image is not one, a mask is not of its size, or there is not one list per phrase.
    """
    check_rgb_image(image)
    if len(phrases) != len(found):
        raise ValueError(f"expected one list of segments per phrase, found {len(found)} lists for {len(phrases)} phrases")
    labelled = [(phrase, segment) for phrase, segments in zip(phrases, found, strict=True) for segment in segments]
    canvas = image.copy()
    for number, (_, segment) in enumerate(labelled):
        _paint(canvas, segment, PALETTE[number % len(PALETTE)])
    picture = Image.fromarray(canvas)
    font = ImageFont.load_default(size=max(11, min(image.shape[:2]) // 28))
    draw = ImageDraw.Draw(picture)
    for number, (phrase, segment) in enumerate(labelled):
        _write_label(draw, f"{_shorten(phrase)} {segment.score:.2f}", segment, PALETTE[number % len(PALETTE)], font)
    missing = [phrase for phrase, segments in zip(phrases, found, strict=True) if not segments]
    return np.asarray(_append_strip(picture, missing, font) if missing else picture)


def _paint(canvas: RgbImage, segment: Segment, colour: tuple[int, int, int]) -> None:
    if segment.mask.shape != canvas.shape[:2]:
        raise ValueError(f"a segment's mask has shape {segment.mask.shape}, but the image has {canvas.shape[:2]}")
    inside = canvas[segment.mask]
    canvas[segment.mask] = (inside * (1 - _OPACITY) + np.array(colour) * _OPACITY).astype(np.uint8)
    thickness = 1 + min(canvas.shape[:2]) // 400
    kernel = np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8)
    core = cv2.erode(segment.mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    canvas[segment.mask & (core == 0)] = colour


def _write_label(
    draw: ImageDraw.ImageDraw,
    text: str,
    segment: Segment,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Put the label above the segment's box where it fits there, and inside the image in any case."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    height_of_image, width_of_image = segment.size_hw
    x0, y0, _, _ = segment.box
    x = max(0, min(x0, width_of_image - width))
    y = max(0, min(y0 - height, height_of_image - height))
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 2 - left, y + 2 - top), text, fill=_INK if sum(colour) > 300 else _PAPER, font=font)


def _append_strip(picture: Image.Image, missing: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    text = "\n".join(f"not found: {_shorten(phrase)}" for phrase in missing)
    measure = ImageDraw.Draw(picture)
    height = int(measure.multiline_textbbox((4, 4), text, font=font)[3]) + 6
    extended = Image.new("RGB", (picture.width, picture.height + height), _PAPER)
    extended.paste(picture, (0, 0))
    ImageDraw.Draw(extended).multiline_text((4, picture.height + 4), text, fill=_INK, font=font)
    return extended


def _shorten(phrase: str) -> str:
    text = " ".join(phrase.split())
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
