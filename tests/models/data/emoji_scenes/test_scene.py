"""Scenes: masks are what is seen, numbers in the metadata are those of the masks, splits keep their promises."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.data.emoji_scenes import HELD_OUT_STYLE, SPLITS, TRAIN_STYLES, Scene, SceneMeta, draw_scene, is_held_out
from models.data.emoji_scenes.backgrounds import HELD_OUT_BACKGROUNDS, TRAIN_BACKGROUNDS
from models.data.emoji_scenes.scene import MIN_VISIBLE
from models.data.emoji_scenes.splits import is_counterpart, scene_rng
from tests.emoji_world import make_bank

COUNT = 60


def draw(split: str, count: int = COUNT, dense: bool = False) -> list[Scene]:
    return [draw_scene(scene_rng(split, 1, index), make_bank(), SPLITS[split], dense=dense) for index in range(count)]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return draw("train")


def test_metadata_tells_what_the_id_map_shows(scenes):
    for scene in scenes:
        assert set(np.unique(scene.ids)) - {0} == {one.id for one in scene.meta.objects}
        assert [one.id for one in scene.meta.objects] == list(range(1, len(scene.meta.objects) + 1))
        for one in scene.meta.objects:
            rows, columns = np.nonzero(scene.ids == one.id)
            assert one.area == len(rows)
            assert one.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert one.center == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5), abs=0.01)


def test_every_object_is_seen_well_enough(scenes):
    shares = [one.area / one.full**2 for scene in scenes for one in scene.meta.objects]
    assert min(shares) >= MIN_VISIBLE
    assert max(shares) <= 1.001
    assert np.mean(np.array(shares) < 0.9) > 0.03, "some are partly hidden"


def test_masks_lie_on_the_pixels_of_their_glyphs(scenes):
    """Discs have one colour, so well inside of a mask only that colour is seen, give or take exposure and grain."""
    bank = make_bank()
    tested = 0
    for scene in scenes:
        for one in scene.meta.objects:
            mask = cv2.erode((scene.ids == one.id).astype(np.uint8), np.ones((7, 7), np.uint8))
            glyph = next(g for g in bank.of(one.style, one.name) if (g.color, g.recolored) == (one.color, one.recolored))
            center = glyph.levels[0][glyph.levels[0].shape[0] // 2, glyph.levels[0].shape[1] // 2, :3]
            if mask.any():
                tested += 1
                assert np.abs(np.median(scene.image[mask > 0], axis=0) - center).max() < 60, (one, center)
    assert tested > COUNT


def test_what_is_around_the_masks_is_not_glyph(scenes):
    """A mask that were shifted or too small would leave its disc's colour beside it."""
    bank = make_bank()
    leaks = []
    for scene in scenes:
        for one in scene.meta.objects:
            glyph = next(g for g in bank.of(one.style, one.name) if (g.color, g.recolored) == (one.color, one.recolored))
            center = glyph.levels[0][glyph.levels[0].shape[0] // 2, glyph.levels[0].shape[1] // 2, :3].astype(float)
            near = cv2.dilate((scene.ids == one.id).astype(np.uint8), np.ones((13, 13), np.uint8))
            inner = cv2.dilate((scene.ids == one.id).astype(np.uint8), np.ones((7, 7), np.uint8))
            ring = (near > 0) & (inner == 0) & (scene.ids == 0)
            if ring.any():
                leaks.append(np.mean(np.abs(scene.image[ring] - center).max(axis=1) < 12))
    assert np.mean(leaks) < 0.05


def test_scenes_come_square_tall_and_wide_with_sides_in_range(scenes):
    sizes = [scene.meta.size_hw for scene in scenes]
    assert {(h == 256, w == 256) for h, w in sizes} == {(True, True), (True, False), (False, True)}
    assert all(min(size) >= 144 and max(size) == 256 for size in sizes)
    assert all(scene.image.shape[:2] == scene.ids.shape == scene.meta.size_hw for scene in scenes)


def test_normal_scenes_hold_few_objects_with_groups_and_dense_ones_many(scenes):
    counts = [len(scene.meta.objects) for scene in scenes]
    assert max(counts) <= 8
    assert any(len({one.name for one in scene.meta.objects}) < len(scene.meta.objects) for scene in scenes)
    dense = [len(scene.meta.objects) for scene in draw("train", 8, dense=True)]
    assert min(dense) > 8
    assert max(dense) <= 19


def test_a_size_can_be_asked_for():
    scene = draw_scene(scene_rng("train", 1, 0), make_bank(), SPLITS["train"], size_hw=(480, 640))
    assert scene.image.shape == (480, 640, 3)
    assert scene.meta.size_hw == (480, 640)


def test_the_same_generator_draws_the_same_scene(scenes):
    again = draw("train", 3)
    for one, other in zip(scenes, again, strict=False):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.ids, other.ids)
        assert one.meta == other.meta


def test_metadata_survives_a_line_of_json(scenes):
    for scene in scenes:
        line = scene.meta.to_json()
        assert "\n" not in line
        assert SceneMeta.from_json(line) == scene.meta


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "compositions"])
def test_held_out_colours_are_never_painted(split):
    recolored = [one for scene in draw(split, 40) for one in scene.meta.objects if one.recolored]
    assert recolored
    assert not any(is_held_out(("color", str(one.color), one.name)) for one in recolored)


@pytest.mark.parametrize("split", ["compositions", "seen_pairs"])
def test_splits_that_ask_for_pairs_show_their_colours_in_most_scenes(split):
    wants = SPLITS[split].wants
    shown = [any(one.recolored and wants(("color", str(one.color), one.name)) for one in s.meta.objects) for s in draw(split, 40)]
    assert np.mean(shown) > 0.5


def test_held_out_backgrounds_and_artwork_stay_in_their_splits():
    for name, split in SPLITS.items():
        scenes = draw(name, 20)
        kinds = HELD_OUT_BACKGROUNDS if split.held_out_backgrounds else TRAIN_BACKGROUNDS
        assert {scene.meta.background for scene in scenes} <= set(kinds)
        styles = {one.style for scene in scenes for one in scene.meta.objects}
        assert styles <= ({HELD_OUT_STYLE} if name == "openmoji" else set(TRAIN_STYLES))


def test_one_pair_in_seven_is_held_out_and_another_is_its_counterpart():
    pairs = [("side", word, f"thing {n}") for word in ("left", "right", "top", "bottom") for n in range(500)]
    for chosen in (is_held_out, is_counterpart):
        assert np.mean([chosen(pair) for pair in pairs]) == pytest.approx(1 / 7, abs=0.03)
    assert not any(is_held_out(pair) and is_counterpart(pair) for pair in pairs)
