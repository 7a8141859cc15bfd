"""Sets on disk: the same from the same seed, whole or not there at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.data.emoji_scenes import SceneSet, draw_indexed_scene, generate
from tests.emoji_world import make_bank


def write(folder: Path, count: int = 3, **changes: object) -> SceneSet:
    options = {"split": "train", "seed": 5, "glyphs": make_bank(), "workers": 1, "progress": False, **changes}
    return SceneSet(generate(folder, count=count, **options))


def test_a_scene_depends_on_split_seed_and_index_only(tmp_path):
    short, long = write(tmp_path / "short", 2), write(tmp_path / "long", 4)
    for index in range(2):
        assert np.array_equal(short.image(index), long.image(index))
        assert np.array_equal(short.ids(index), long.ids(index))
        assert short.meta(index) == long.meta(index)
    image, ids, meta = draw_indexed_scene(make_bank(), "train", 5, 3)
    assert np.array_equal(long.image(3), image)
    assert np.array_equal(long.ids(3), ids)
    assert long.meta(3) == meta


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(tmp_path):
    alone, together = write(tmp_path / "alone", 150), write(tmp_path / "together", 150, workers=2)
    assert [alone.meta(i) for i in range(150)] == [together.meta(i) for i in range(150)]
    assert np.array_equal(alone.image(149), together.image(149))


@pytest.mark.parametrize(
    "change", [pytest.param({"seed": 6}, id="seed"), pytest.param({"split": "val"}, id="split"), pytest.param({"dense": True}, id="dense")]
)
def test_other_settings_give_other_scenes(tmp_path, change):
    assert write(tmp_path / "one").meta(0) != write(tmp_path / "other", **change).meta(0)


def test_outside_of_the_content_everything_is_black_and_background(tmp_path):
    scenes = write(tmp_path / "set", 30)
    cropped = 0
    for index in range(len(scenes)):
        height, width = scenes.meta(index).size_hw
        cropped += (height, width) != (256, 256)
        outside = np.ones((256, 256), bool)
        outside[:height, :width] = False
        assert not scenes.image(index)[outside].any()
        assert not scenes.ids(index)[outside].any()
    assert cropped


def test_what_a_killed_run_left_is_no_set_and_does_not_stand_in_the_way(tmp_path):
    whole = write(tmp_path / "whole")
    left = tmp_path / "set.partial"
    left.mkdir()
    (left / "images.npy").write_bytes(b"half of it")
    with pytest.raises(FileNotFoundError, match="generate it first"):
        SceneSet(tmp_path / "set")
    with pytest.raises(FileNotFoundError, match="generate it first"):
        SceneSet(left)
    again = write(tmp_path / "set")
    assert not left.exists()
    assert np.array_equal(again.image(2), whole.image(2))


def test_a_whole_set_is_left_as_it_is(tmp_path):
    written = write(tmp_path / "set").path / "images.npy"
    before = written.stat().st_mtime_ns
    write(tmp_path / "set")
    assert written.stat().st_mtime_ns == before


def test_another_set_in_the_folder_is_not_overwritten(tmp_path):
    write(tmp_path / "set")
    with pytest.raises(FileExistsError, match="delete it or choose another folder"):
        write(tmp_path / "set", seed=6)


def test_the_manifest_says_how_to_make_the_set_again(tmp_path):
    manifest = json.loads((write(tmp_path / "set").path / "manifest.json").read_text())
    assert manifest["split"] == "train"
    assert manifest["seed"] == 5
    assert manifest["count"] == 3
    assert manifest["glyph_packages"]["noto"] == "emoji-datasource-google@16.0.0"
    assert "openmoji" not in manifest["glyph_packages"]


def test_an_unknown_split_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(ValueError, match="known splits: train, val"):
        write(tmp_path / "set", split="validation")


def test_an_empty_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="count=0"):
        write(tmp_path / "set", 0)
