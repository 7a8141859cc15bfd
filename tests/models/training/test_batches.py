"""What lies under each patch, and images as the networks see them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from models.data.emoji_scenes import CLASSES, COLORS, SceneSet, generate
from models.data.emoji_scenes.repaint import repaint
from models.training.batches import IGNORED, SceneSampler, network_inputs, patch_colours, patch_coverage
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


def test_a_patch_shows_the_colour_of_most_of_what_it_shows_of_its_owner():
    ids, image = np.zeros((256, 256), np.uint8), np.zeros((256, 256, 3), np.uint8)
    ids[:16, :48] = 1
    image[:16, :16] = (220, 20, 20)
    image[:16, 16:32] = (20, 40, 220)
    image[:16, 32:40], image[:16, 40:48] = (220, 20, 20), (20, 40, 220)
    image[16:, :] = (220, 20, 20)
    owners = np.zeros((16, 16), np.int16)
    owners[0, :3] = 1
    owners[1, 0] = -1
    colours = patch_colours(image, ids, owners)
    assert colours[0, :3].tolist() == [COLORS.index("red"), COLORS.index("blue"), -1]
    assert colours[1, 0] == -1, "whose it is is not clear"


def test_parts_of_repainted_objects_without_a_colour_have_theirs(scene_set):
    sampler = SceneSampler([(scene_set, 1.0)], CLASSES, COLORS, partial(repaint, share=1.0))
    batch = sampler.batch(np.random.default_rng(0), 30)
    has_part = batch.part_colour != IGNORED
    assert has_part.sum() > 100
    assert (batch.patch_colour[has_part] == IGNORED).all()
    assert (batch.patch_class[has_part] < len(CLASSES)).all()
    assert (SceneSampler([(scene_set, 1.0)], CLASSES, COLORS).batch(np.random.default_rng(0), 30).part_colour == IGNORED).all()


def test_padding_is_zero_for_both_networks_and_the_image_is_not():
    images = np.full((1, 256, 256, 3), 10, np.uint8)
    clip, sam = network_inputs(images, [(256, 200)])
    for tensor in (clip, sam):
        assert torch.count_nonzero(tensor[0, :, :, 200:]) == 0
        assert torch.count_nonzero(tensor[0, :, :, :200]) == 3 * 256 * 200


def scene_of(batch, row: int, scene_set: SceneSet) -> tuple[int, bool]:
    """Which scene a row shows, and whether it is mirrored."""
    for index in range(len(scene_set)):
        ids = torch.from_numpy(scene_set.ids(index).copy())
        if torch.equal(batch.ids[row], ids):
            return index, False
        if torch.equal(batch.ids[row], ids.flip(1)):
            return index, True
    raise AssertionError("a row that is no scene of the set")


def test_patch_labels_say_what_the_id_map_says(scene_set):
    sampler = SceneSampler([(scene_set, 1.0)], CLASSES, COLORS)
    batch = sampler.batch(np.random.default_rng(0), 30, mirror=False)
    labelled = 0
    for row in range(30):
        index, mirrored = scene_of(batch, row, scene_set)
        assert not mirrored
        meta, ids = scene_set.meta(index), scene_set.ids(index)
        assert batch.metas[row] == meta
        classes, colours = batch.patch_class[row].reshape(16, 16), batch.patch_colour[row].reshape(16, 16)
        for one in meta.objects:
            inside = torch.from_numpy((ids == one.id).reshape(16, 16, 16, 16).mean(axis=(1, 3)) > 0.6)
            assert set(classes[inside].tolist()) <= {CLASSES.index(one.name)}
            assert set(colours[inside].tolist()) <= {COLORS.index(one.color) if one.color else IGNORED}
            labelled += int(inside.sum())
        empty = torch.from_numpy((ids == 0).reshape(16, 16, 16, 16).all(axis=(1, 3)))
        assert set(classes[empty].tolist()) == {len(CLASSES)}
        assert set(colours[empty].tolist()) == {IGNORED}
    assert labelled > 50


def test_mirroring_moves_image_ids_and_labels_together(scene_set):
    sampler = SceneSampler([(scene_set, 1.0)], CLASSES, COLORS)
    batch = sampler.batch(np.random.default_rng(0), 40)
    plain = sampler.batch(np.random.default_rng(1), 120, mirror=False)
    classes = {scene_of(plain, row, scene_set)[0]: plain.patch_class[row].reshape(16, 16) for row in range(120)}
    mirrored = 0
    for row in range(40):
        index, flipped = scene_of(batch, row, scene_set)
        expected = classes[index].flip(1) if flipped else classes[index]
        assert torch.equal(batch.patch_class[row].reshape(16, 16), expected)
        mirrored += flipped
    assert 5 < mirrored < 35


def test_repainted_objects_are_labelled_with_the_colour_that_they_show(scene_set):
    sampler = SceneSampler([(scene_set, 1.0)], CLASSES, COLORS, partial(repaint, share=1.0))
    batch = sampler.batch(np.random.default_rng(0), 20, mirror=False)
    changed = 0
    for row in range(20):
        before = scene_set.meta(scene_of(batch, row, scene_set)[0])
        colours = batch.patch_colour[row].reshape(16, 16)
        for old, one in zip(before.objects, batch.metas[row].objects, strict=True):
            inside = torch.from_numpy((batch.ids[row].numpy() == one.id).reshape(16, 16, 16, 16).mean(axis=(1, 3)) > 0.6)
            assert set(colours[inside].tolist()) <= {COLORS.index(one.color) if one.color else IGNORED}
            changed += old.color != one.color
    assert changed > 10
