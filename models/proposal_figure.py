"""The steps from labels to masks side by side, for people to look at: where a wrong answer went wrong shows at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from models.proposals import Proposals
from models.render import PALETTE, draw_overlay
from models.types import RgbImage, check_rgb_image

PANEL_SIDE = 420
"""Longest side of one panel in pixels."""
_GAP = 8
_STRENGTH = 0.6
_INK = (20, 20, 20)
_PAPER = (255, 255, 255)
_POINT = (255, 30, 30)


def draw_stages(image: RgbImage, found: Proposals) -> RgbImage:
    """Draw cost map, points, SAM's masks, the masks after aggregation, the final label map and the proposals.

    Args:
        image: uint8 ``[H, W, 3]`` RGB.
        found: the answer for this image.

    Returns:
        uint8 ``[h, w, 3]`` RGB: six panels with a caption each, and the labels that were found in their colours.

    Raises:
        ValueError: the image is none.
    """
    check_rgb_image(image)
    scale = PANEL_SIDE / max(image.shape[:2])
    size_hw = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    small = _resized(image, size_hw, cv2.INTER_AREA)
    stages = found.stages
    panels = [
        ("words alone", _with_labels(small, stages.cost_labels, stages.cost_confidence)),
        (f"{len(stages.points)} points", _with_points(small, stages.points * [size_hw[1] / image.shape[1], size_hw[0] / image.shape[0]])),
        (f"{len(stages.sam_masks)} masks of SAM", _with_masks(small, stages.sam_masks)),
        (f"{len(stages.joined_masks)} after aggregation", _with_masks(small, stages.joined_masks)),
        ("labels", _with_labels(small, found.label_map, None)),
        (f"{len(found.proposals)} proposals", _with_proposals(image, found, size_hw)),
    ]
    present = np.unique(np.concatenate([stages.cost_labels.ravel(), found.label_map.ravel()]))
    return _laid_out(panels, [(found.labels[one - 1], _colour(one)) for one in present.tolist() if one > 0])


def _with_labels(picture: RgbImage, labels: npt.NDArray[np.int32], confidence: npt.NDArray[np.float32] | None) -> RgbImage:
    size_hw = (picture.shape[0], picture.shape[1])
    shown = _resized(labels, size_hw, cv2.INTER_NEAREST)
    strength = np.full(size_hw, _STRENGTH) if confidence is None else _STRENGTH * _resized(confidence, size_hw, cv2.INTER_LINEAR)
    colours = np.array([_PAPER, *(_colour(one) for one in range(1, int(labels.max(initial=0)) + 1))])
    strength = np.where(shown > 0, strength, 0.0)[..., np.newaxis]
    return np.asarray(picture * (1 - strength) + colours[shown] * strength, np.uint8)


def _with_masks(picture: RgbImage, masks: npt.NDArray[np.bool_]) -> RgbImage:
    canvas = picture.copy()
    for number, mask in enumerate(masks):
        shown = _resized(mask.astype(np.uint8), (picture.shape[0], picture.shape[1]), cv2.INTER_NEAREST)
        colour = PALETTE[number % len(PALETTE)]
        inside = canvas[shown > 0]
        canvas[shown > 0] = (inside * (1 - _STRENGTH / 2) + np.array(colour) * _STRENGTH / 2).astype(np.uint8)
        outlines, _ = cv2.findContours(shown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, 2)
    return canvas


def _with_points(picture: RgbImage, points: npt.NDArray[np.float64]) -> RgbImage:
    canvas = picture.copy()
    for x, y in points.round().astype(int).tolist():
        cv2.circle(canvas, (x, y), 5, _PAPER, -1)
        cv2.circle(canvas, (x, y), 3, _POINT, -1)
    return canvas


def _with_proposals(image: RgbImage, found: Proposals, size_hw: tuple[int, int]) -> RgbImage:
    names = [one.label for one in found.proposals]
    return _resized(draw_overlay(image, names, [[one.segment()] for one in found.proposals]), size_hw, cv2.INTER_AREA)


def _laid_out(panels: Sequence[tuple[str, RgbImage]], legend: Sequence[tuple[str, tuple[int, int, int]]]) -> RgbImage:
    font = ImageFont.load_default(size=15)
    height, width = panels[0][1].shape[:2]
    width_each = max(width, 150)
    caption = 24
    sheet = Image.new("RGB", (len(panels) * (width_each + _GAP) + _GAP, height + 2 * caption + 3 * _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (text, panel) in enumerate(panels):
        left = _GAP + number * (width_each + _GAP)
        draw.text((left, _GAP // 2), text, fill=_INK, font=font)
        sheet.paste(Image.fromarray(panel), (left, caption + _GAP // 2))
    across, top = float(_GAP), caption + height + 2 * _GAP
    for text, colour in legend:
        draw.rectangle((across, top + 2, across + 14, top + 16), fill=colour)
        draw.text((across + 20, top), text, fill=_INK, font=font)
        across += 34 + draw.textlength(text, font=font)
    return np.asarray(sheet)


def _resized(picture: npt.NDArray[Any], size_hw: tuple[int, int], how: int) -> npt.NDArray[Any]:
    return np.asarray(cv2.resize(picture, size_hw[::-1], interpolation=how))


def _colour(label: int) -> tuple[int, int, int]:
    return PALETTE[(label - 1) % len(PALETTE)]
