"""Committed scenes: readable, true to their drawing, small, and free of share-alike artwork."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data import sample_scenes
from models.data.emoji_scenes import NO_TARGET_KINDS, SPLITS, draw_scene, sample_expressions
from models.data.emoji_scenes.splits import scene_rng
from models.data.sample_scenes import load_sample_scenes
from models.data.scene_folder import SampleScene, load_scenes, save_scenes
from tests.emoji_world import make_bank

FLOOR = Path(__file__).parents[2] / "data" / "floor_scenes"
SAMPLES = Path(sample_scenes.__file__).parent


@pytest.fixture(params=["samples", "floor"])
def committed(request: pytest.FixtureRequest) -> list[SampleScene]:
    return load_sample_scenes() if request.param == "samples" else load_scenes(FLOOR)


def test_scenes_come_back_as_they_were_saved(tmp_path):
    scene = draw_scene(scene_rng("val", 1, 0), make_bank(), SPLITS["val"])
    said = sample_expressions(scene.meta, np.random.default_rng(0), 6, "val")
    save_scenes(tmp_path / "folder", [("one.png", scene, said)])
    (back,) = load_scenes(tmp_path / "folder")
    assert np.array_equal(back.sample.image, scene.image)
    assert back.classes == tuple(one.name for one in scene.meta.objects)
    for number, mask in enumerate(back.sample.objects, start=1):
        assert np.array_equal(mask, scene.ids == number)
    for before, after in zip(said, back.sample.expressions, strict=True):
        assert (after.text, after.kind) == (before.text, before.kind)
        assert np.array_equal(after.mask, np.isin(scene.ids, before.targets))


def test_a_folder_without_index_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="make_sample_scenes"):
        load_scenes(tmp_path)


def test_committed_scenes_fit_their_images_and_say_what_is_there(committed):
    for scene in committed:
        size_hw = scene.sample.image.shape[:2]
        assert len(scene.classes) == len(scene.sample.objects)
        assert all(mask.shape == size_hw and mask.any() for mask in scene.sample.objects)
        assert np.sum(scene.sample.objects, axis=0).max() == 1
        for expression in scene.sample.expressions:
            assert expression.mask.any() == (expression.kind not in NO_TARGET_KINDS)


def test_there_are_a_dozen_samples_of_several_sizes_and_a_hundred_floor_scenes_with_six_expressions_each():
    samples, floor = load_sample_scenes(), load_scenes(FLOOR)
    assert len(samples) == 12
    assert {scene.sample.image.shape[:2] for scene in samples} == {(256, 256), (512, 512), (480, 640)}
    assert "dog" in samples[0].classes
    assert len(floor) == 100
    assert {len(scene.sample.expressions) for scene in floor} == {6}


def test_committed_scenes_are_small_and_credited():
    sizes = [sum(path.stat().st_size for path in folder.glob("*.*")) for folder in (SAMPLES, FLOOR)]
    assert sum(sizes) < 3_000_000
    for folder in (SAMPLES, FLOOR):
        credit = (folder / "CREDITS.md").read_text(encoding="utf-8")
        assert all(name in credit for name in ("Noto Emoji", "Apache-2.0", "Twemoji", "CC-BY 4.0", "Fluent Emoji", "MIT"))
