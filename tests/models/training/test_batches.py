"""What lies under each patch, and images as the networks see them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data.emoji_scenes import CLASSES, COLORS, SceneSet, generate
from models.training.batches import IGNORED, SceneSampler, network_inputs, patch_coverage
from tests.emoji_world import make_bank


@pytest.fixture(scope="module")
def scene_set(tmp_path_factory) -> SceneSet:
    folder = tmp_path_factory.mktemp("scenes") / "train"
    return SceneSet(generate(folder, "train", 12, seed=1, glyphs=make_bank(), workers=1, progress=False))


def test_a_patch_names_the_object_that_covers_most_of_it():
    ids = np.zeros((256, 256), np.uint8)
    ids[:16, :12] = 3
    ids[:16, 12:16] = 5
    ids[16:32, 0:2] = 4
    covering, share, covered = patch_coverage(ids)
    assert covering[0, 0] == 3
    assert share[0, 0] == pytest.approx(0.75)
    assert covered[0, 0] == pytest.approx(1.0)
    assert share[1, 0] == pytest.approx(0.125)
    assert covered[5, 5] == 0


def test_padding_is_zero_for_both_networks_and_the_image_is_not():
    images = np.full((1, 256, 256, 3), 10, np.uint8)
    clip, sam = network_inputs(images, [(256, 200)])
    for tensor in (clip, sam):
        assert torch.count_nonzero(tensor[0, :, :, 200:]) == 0
        assert torch.count_nonzero(tensor[0, :, :, :200]) == 3 * 256 * 200


def test_patch_labels_say_what_the_id_map_says(scene_set):
    sampler = SceneSampler([(scene_set, 1.0)], CLASSES, COLORS)
    batch = sampler.scenes(np.arange(len(scene_set)))
    labelled = 0
    for index in range(len(scene_set)):
        meta, ids = scene_set.meta(index), scene_set.ids(index)
        for one in meta.objects:
            inside = (ids == one.id).reshape(16, 16, 16, 16).mean(axis=(1, 3)) > 0.6
            assert set(batch.patch_class[index].reshape(16, 16)[torch.from_numpy(inside)].tolist()) <= {CLASSES.index(one.name)}
            labelled += inside.sum()
        empty = torch.from_numpy((ids == 0).reshape(16, 16, 16, 16).all(axis=(1, 3)))
        assert set(batch.patch_class[index].reshape(16, 16)[empty].tolist()) == {len(CLASSES)}
        assert set(batch.patch_colour[index].reshape(16, 16)[empty].tolist()) == {IGNORED}
    assert labelled > 50


def test_mirroring_moves_image_ids_and_labels_together(scene_set):
    sampler = SceneSampler([(scene_set, 1.0)], CLASSES, COLORS)
    batch = sampler.batch(np.random.default_rng(0), 40)
    plain = sampler.scenes(np.arange(len(scene_set)))
    mirrored = 0
    for ids, classes in zip(batch.ids, batch.patch_class, strict=True):
        same = [i for i, other in enumerate(plain.ids) if torch.equal(ids, other)]
        flipped = [i for i, other in enumerate(plain.ids) if torch.equal(ids, other.flip(1))]
        assert same or flipped
        if same:
            assert torch.equal(classes, plain.patch_class[same[0]])
        else:
            mirrored += 1
            assert torch.equal(classes.reshape(16, 16), plain.patch_class[flipped[0]].reshape(16, 16).flip(1))
    assert 5 < mirrored < 35
