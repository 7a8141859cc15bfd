"""Objects in other colours: what changes, what must not, and which pairs are never shown."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.data.emoji_scenes.colors import dominant_color, pixel_shares, present_colors
from models.data.emoji_scenes.repaint import repaint
from models.data.emoji_scenes.scene import draw_scene, pad_to_canvas
from models.data.emoji_scenes.splits import get_split, is_held_out
from models.data.emoji_scenes.vocabulary import HUES
from tests.emoji_world import make_bank


@pytest.fixture(scope="module")
def scenes():
    drawn = [draw_scene(np.random.default_rng(seed), make_bank(), get_split("train")) for seed in range(60)]
    return [(pad_to_canvas(scene.image), pad_to_canvas(scene.ids), scene.meta) for scene in drawn]


def repainted(scenes):
    """Image, ids, an object that changed, and the same before."""
    for seed, (image, ids, meta) in enumerate(scenes):
        new_image, new_meta = repaint(image, ids, meta, np.random.default_rng(seed), 1.0)
        for before, after in zip(meta.objects, new_meta.objects, strict=True):
            if after != before:
                yield new_image, ids, after, before


def test_colours_are_those_that_are_measured(scenes):
    seen = list(repainted(scenes))
    assert len(seen) > 60
    for image, ids, after, _ in seen:
        shares = pixel_shares(image[ids == after.id])
        # A neighbour that is repainted later may not touch what was measured.
        assert after.color in (dominant_color(shares), None)
        assert after.colors == present_colors(shares)
        assert after.recolored


def test_many_objects_have_two_colours_of_which_none_is_theirs(scenes):
    without = [after for _, _, after, before in repainted(scenes) if before.color and after.color is None and len(after.colors) > 1]
    assert len(without) > 15


def test_what_is_named_after_a_hue_has_little_of_any_other(scenes):
    named = [(image[ids == after.id], after.color) for image, ids, after, _ in repainted(scenes) if after.color in HUES]
    assert len(named) > 15
    for pixels, color in named:
        others = {hue: share for hue, share in pixel_shares(pixels).items() if hue in HUES and hue != color}
        assert max(others.values()) < 0.15


def test_no_colour_is_painted_that_training_may_not_join_with_the_class(scenes):
    for image, ids, after, _ in repainted(scenes):
        most = dominant_color(pixel_shares(image[ids == after.id]))  # whatever the object is named after
        assert most is None or not is_held_out(("color", most, after.name))


def test_everything_else_stays(scenes):
    for seed, (image, ids, meta) in enumerate(scenes):
        before = image.copy()
        new_image, new_meta = repaint(image, ids, meta, np.random.default_rng(seed), 0.5)
        assert np.array_equal(image, before), "the scene that was given is not changed"
        changed = np.any(new_image != image, axis=2) & (ids == 0)
        near = cv2.dilate((ids > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert not np.any(changed & ~near), "of the background, a rim of one pixel at most"
        assert [(one.name, one.box, one.area) for one in meta.objects] == [(one.name, one.box, one.area) for one in new_meta.objects]


def test_a_share_of_nothing_changes_nothing(scenes):
    image, ids, meta = scenes[0]
    new_image, new_meta = repaint(image, ids, meta, np.random.default_rng(0), 0.0)
    assert np.array_equal(new_image, image)
    assert new_meta == meta
