"""Splits are made once, always the same, and scored scene by scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.data.emoji_scenes import NO_TARGET_KINDS, GlyphSourceError, SceneSet
from models.evaluation_splits import REPORTED_SPLITS, evaluate_split, prepare_split, scene_samples
from models.metrics import ALL_KINDS
from tests.emoji_world import write_split
from tests.factories import FakeEngine


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def scenes(data_dir: Path) -> SceneSet:
    return write_split(data_dir, "held-out-scenes", 6)


def test_scenes_that_are_there_are_read_and_need_no_glyphs(scenes, data_dir):
    assert prepare_split("held-out-scenes", 6, data_dir).manifest == scenes.manifest
    assert not (data_dir / "glyph_packages").exists()


def test_scenes_of_another_generator_are_not_taken_for_these(tmp_path):
    manifest = write_split(tmp_path, "held-out-scenes", 1).path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"generator_version": 0}))
    with pytest.raises(FileExistsError, match="delete the folder"):
        prepare_split("held-out-scenes", 1, tmp_path)


def test_glyphs_that_cannot_be_had_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GlyphSourceError, match="npm was not found"):
        prepare_split("openmoji", 6, tmp_path)


def test_an_unknown_split_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(ValueError, match="known splits: held-out-scenes, compositions"):
        prepare_split("validation", 6, tmp_path)


def test_expressions_have_a_mask_exactly_if_they_mean_something(scenes):
    expressions = [expression for sample in scene_samples(scenes) for expression in sample.expressions]
    assert len(expressions) > 20
    for expression in expressions:
        assert expression.mask.any() == (expression.kind not in NO_TARGET_KINDS)


def test_samples_are_cut_to_the_scene_and_masks_fit(scenes):
    for index, sample in enumerate(scene_samples(scenes)):
        size_hw = scenes.meta(index).size_hw
        assert sample.image.shape == (*size_hw, 3)
        assert {mask.shape for mask in sample.objects} == {size_hw}
        assert {expression.mask.shape for expression in sample.expressions} <= {size_hw}
        assert len(sample.objects) == len(scenes.meta(index).objects)
        assert not np.sum(sample.objects, axis=0).max() > 1, "a pixel shows one object"


def test_the_same_seed_asks_the_same_and_another_asks_something_else(scenes):
    def texts(seed: int) -> list[list[str]]:
        return [[expression.text for expression in sample.expressions] for sample in scene_samples(scenes, seed=seed)]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)


def test_a_larger_set_begins_with_the_smaller(scenes, tmp_path):
    larger = write_split(tmp_path, "held-out-scenes", 8)
    for small, large in zip(scene_samples(scenes), scene_samples(larger), strict=False):
        assert np.array_equal(small.image, large.image)
        assert [one.text for one in small.expressions] == [one.text for one in large.expressions]


def test_compositions_hold_only_pairs_that_training_lacks(tmp_path):
    kinds = {one.kind for sample in scene_samples(write_split(tmp_path, "compositions", 12)) for one in sample.expressions}
    assert kinds
    assert not kinds & {"name", "category", "color_only", "multi"}, "these join no attribute with a class"


def test_figures_of_a_split_are_plain_values_of_all_its_scenes(scenes):
    seen = []
    figures = evaluate_split(FakeEngine(), scenes, on_scene=lambda: seen.append(1))
    samples = list(scene_samples(scenes))
    assert json.loads(json.dumps(figures)) == figures
    assert figures["scenes"] == len(seen) == 6
    assert figures["referring"][ALL_KINDS]["n"] == sum(len(sample.expressions) for sample in samples)
    assert figures["prompts"]["box"]["n"] == sum(len(sample.objects) for sample in samples)


def test_every_reported_split_has_scenes_of_its_own():
    assert len(set(REPORTED_SPLITS.values())) == len(REPORTED_SPLITS)
    assert not set(REPORTED_SPLITS.values()) & {"train", "calibration", "val"}
