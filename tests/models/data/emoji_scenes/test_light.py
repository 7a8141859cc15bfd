"""Scenes in another light: what changes, what must not, and which pairs are never shown."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.emoji_scenes import light
from models.data.emoji_scenes.colors import dominant_color, pixel_shares, present_colors
from models.data.emoji_scenes.light import relight
from models.data.emoji_scenes.scene import draw_scene, pad_to_canvas
from models.data.emoji_scenes.splits import get_split, is_held_out
from tests.emoji_world import make_bank


@pytest.fixture(scope="module")
def scenes():
    drawn = [draw_scene(np.random.default_rng(seed), make_bank(), get_split("train")) for seed in range(40)]
    return [(pad_to_canvas(scene.image), pad_to_canvas(scene.ids), scene.meta) for scene in drawn]


@pytest.fixture(scope="module")
def relit(scenes):
    return [relight(image, ids, meta, np.random.default_rng(seed)) for seed, (image, ids, meta) in enumerate(scenes)]


def test_most_scenes_change_and_what_was_given_does_not(scenes):
    changed = 0
    for seed, (image, ids, meta) in enumerate(scenes):
        before = image.copy()
        lit, _ = relight(image, ids, meta, np.random.default_rng(seed))
        assert np.array_equal(image, before)
        assert lit.shape == image.shape
        assert lit.dtype == np.uint8
        changed += not np.array_equal(lit, image)
    assert changed > 25


def test_colours_are_those_that_are_measured(scenes, relit):
    renamed = 0
    for (_, ids, before), (image, after) in zip(scenes, relit, strict=True):
        for old, one in zip(before.objects, after.objects, strict=True):
            if one == old:
                continue
            shares = pixel_shares(image[ids == one.id])
            assert one.color == dominant_color(shares)
            assert one.colors == present_colors(shares)
            assert (one.name, one.box, one.area, one.center) == (old.name, old.box, old.area, old.center)
            renamed += one.color != old.color
    assert renamed > 20


def test_no_light_gives_a_colour_that_training_may_not_join_with_the_class(scenes, relit):
    for (before, _, _), (image, meta) in zip(scenes, relit, strict=True):
        if not np.array_equal(before, image):
            assert not [one for one in meta.objects if one.color and is_held_out(("color", one.color, one.name))]


def test_where_every_light_would_show_such_a_pair_the_scene_stays_as_it_is(scenes, monkeypatch):
    monkeypatch.setattr(light, "is_held_out", lambda pair: True)
    image, ids, meta = scenes[0]
    lit, new_meta = relight(image, ids, meta, np.random.default_rng(0))
    assert np.array_equal(lit, image)
    assert new_meta == meta


def test_black_stays_black(scenes):
    image, ids, meta = scenes[0]
    padded = image.copy()
    padded[:, 200:] = 0
    lit, _ = relight(padded, np.where(np.arange(256) < 200, ids, 0).astype(np.uint8), meta, np.random.default_rng(1))
    assert not lit[:, 200:].any()
