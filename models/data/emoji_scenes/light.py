"""Finished scenes in another light: it changes the colours of everything at once, so that names have to be read from shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.data.emoji_scenes.colors import dominant_color, pixel_shares, present_colors
from models.data.emoji_scenes.meta import SceneMeta, SceneObject
from models.data.emoji_scenes.repaint import Pixels
from models.data.emoji_scenes.splits import is_held_out

_GAIN = 0.35
"""Standard deviation of the logarithm of what each channel is multiplied by."""
_SATURATION = (0.2, 1.2)
_GAMMA = (0.7, 1.4)
_TRIES = 4
"""Lights; in none that is drawn may something have a colour that is kept from it."""


def relight(image: Pixels, ids: Pixels, meta: SceneMeta, rng: np.random.Generator) -> tuple[Pixels, SceneMeta]:
    """The scene in a light of another colour, warmth and strength.

    Args:
        image: uint8 ``[S, S, 3]`` RGB.
        ids: uint8 ``[S, S]``, who is seen where.
        meta: of the scene.
        rng: decides the light.

    Returns:
        a new image, and the scene with the colours that are measured in it; both as they were where every light that was drawn showed an
        object in a colour that training must not join with its class.
    """
    for _ in range(_TRIES):
        lit = _draw_light(rng)[image, np.arange(3)]
        lit = _mix_with_grey(lit, rng.uniform(*_SATURATION))
        objects = tuple(_seen_in(lit, ids, one) for one in meta.objects)
        if not any(one.color and is_held_out(("color", one.color, one.name)) for one in objects):
            return lit, replace(meta, objects=objects)
    return image, meta


def _draw_light(rng: np.random.Generator) -> Pixels:
    """uint8 ``[256, 3]``: what becomes of each value of each channel."""
    gain = np.exp(rng.normal(0, _GAIN, 3))
    gamma = rng.uniform(*_GAMMA)
    values = np.linspace(0, 1, 256)[:, None] ** gamma * gain
    return np.asarray(np.round(np.clip(values, 0, 1) * 255), np.uint8)


def _mix_with_grey(image: Pixels, saturation: float) -> Pixels:
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray(np.round(np.clip(grey + saturation * (image - grey), 0, 255)), np.uint8)


def _seen_in(image: Pixels, ids: Pixels, one: SceneObject) -> SceneObject:
    x0, y0, x1, y1 = one.box
    shares = pixel_shares(image[y0:y1, x0:x1][ids[y0:y1, x0:x1] == one.id])
    color = dominant_color(shares)
    return replace(one, color=color, colors=present_colors(shares), recolored=one.recolored or color != one.color)
