"""Objects of a finished scene in other colours, so that a class is not known by the colours that training shows it in.

A class is drawn in six or seven colours and never in those that are kept from it; a network that is told so often enough concludes that
what is purple is no truck. Patches of things in colours kept out of training were named right one time in nine, those of things in other
colours of ours six times in ten. So hues are drawn anew here, and run from one to another across the object: half purple and half pink, a
truck is no purple truck, but what is purple may be a truck. Such an object has no colour as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from models.data.emoji_scenes.colors import dominant_color, pixel_shares, present_colors, turn_hue
from models.data.emoji_scenes.meta import SceneMeta, SceneObject
from models.data.emoji_scenes.splits import is_held_out
from models.data.emoji_scenes.vocabulary import HUES

Pixels = npt.NDArray[np.uint8]

_SPAN = 120.0
"""Degrees; the hues of an object lie no further apart. Two that lie close look like one."""
_MIXED_SHARE = 0.15
"""Of the pixels: an object that has this much of a second hue is named after none, lest its other part teach that the hue there is the
first."""
_BORDER = 1
"""Pixels around an object that its colour has mixed with; without them, its old colour would remain as a rim."""


def repaint(image: Pixels, ids: Pixels, meta: SceneMeta, rng: np.random.Generator, share: float) -> tuple[Pixels, SceneMeta]:
    """Turn the main hue of some objects to another, and say so.

    Objects without a hue stay as they are, and so do those whose new colour training must not join with their class.

    Args:
        image: uint8 ``[S, S, 3]`` RGB.
        ids: uint8 ``[S, S]``, who is seen where.
        meta: of the scene.
        rng: decides which objects and which hues.
        share: of the objects, 0..1.

    Returns:
        a copy of the image, and the scene with the colours that are measured in it.
    """
    image = image.copy()
    objects = [_repaint_one(image, ids, one, rng) if rng.random() < share else one for one in meta.objects]
    return image, replace(meta, objects=tuple(objects))


def _repaint_one(image: Pixels, ids: Pixels, one: SceneObject, rng: np.random.Generator) -> SceneObject:
    x0, y0, x1, y1 = one.box
    window = (slice(max(y0 - _BORDER, 0), y1 + _BORDER), slice(max(x0 - _BORDER, 0), x1 + _BORDER))
    inside = ids[window] == one.id
    hue = _draw_hue(inside, rng)
    saturation_factor, value_factor = rng.uniform(0.6, 1.2), rng.uniform(0.85, 1.15)
    turned = turn_hue(image[window], inside, hue, saturation_factor, value_factor)
    if turned is None:
        return one
    shares = pixel_shares(turned[inside])
    color = dominant_color(shares)
    if color is not None and is_held_out(("color", color, one.name)):
        return one
    near = cv2.dilate(inside.astype(np.uint8), np.ones((2 * _BORDER + 1,) * 2, np.uint8)).astype(np.bool_)
    near &= inside | (ids[window] == 0)  # other objects' pixels are theirs
    image[window][near] = turned[near]
    return replace(one, color=None if _is_mixed(shares) else color, colors=present_colors(shares), recolored=True)


def _is_mixed(shares: Mapping[str, float]) -> bool:
    _, second, *_ = sorted((shares[hue] for hue in HUES), reverse=True)
    return second >= _MIXED_SHARE


def _draw_hue(inside: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Hues in degrees for the window of ``inside``, bool ``[H, W]``: one on one side, another on the other, those between in the middle."""
    first, span, direction = rng.uniform(0, 360), rng.uniform(-_SPAN, _SPAN), rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(inside.shape)
    along = columns * np.cos(direction) + rows * np.sin(direction)
    start, end = np.quantile(along[inside], [0.35, 0.65])
    hues: npt.NDArray[np.float64] = first + span * np.clip((along - start) / max(end - start, 1.0), 0, 1)
    return hues
