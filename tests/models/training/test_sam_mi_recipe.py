"""The recipe of SAM-MI in small: it learns, leaves the encoders alone, resumes, and its weights load and answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.emoji_scenes import CLASSES, generate
from models.data.emoji_scenes.dataset import SceneSet
from models.loading import load_engine
from models.sam_mi.model import SamMi
from models.ssp_sam.config import tiny
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.ssp_sam.weights import write_weights_folder
from models.training.loop import step_generator
from models.training.sam_mi_recipe import SamMiTraining, debug_recipe, train_sam_mi
from models.training.sam_mi_stage import Lesson, choose_labels, label_loss, listed, roughen
from models.training.semantic_batches import SemanticSampler, label_coverage, middle_targets
from models.training.tiny_recipe import known_words
from models.weights_folder import WeightsFolder
from tests.emoji_world import make_bank


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root: Path = tmp_path_factory.mktemp("sam-mi")
    for name, dense in (("dense", True), ("train", False)):
        generate(root / name, "train", 6, seed=3, glyphs=make_bank(), dense=dense, workers=1, progress=False)
    return root


@pytest.fixture(scope="module")
def base(world) -> WeightsFolder:
    vocabulary = vocabulary_of(known_words())
    config = tiny(vocab_size=len(vocabulary) + 4)
    torch.manual_seed(0)
    tokenizer = PhraseTokenizer(config.clip.context_length, vocabulary)
    return write_weights_folder(SspSam(config), tokenizer, world / "base", release="0.0.1", thresholds=Thresholds())


@pytest.fixture(scope="module")
def training(world, base) -> SamMiTraining:
    return SamMiTraining(debug_recipe(), base, world, world / "run")


@pytest.mark.slow
def test_the_network_learns_behind_frozen_encoders_and_the_joined_weights_answer(training, base):
    before = {name: tensor.clone() for name, tensor in training.encoders.state_dict().items()}
    network = training.run()
    after = training.encoders.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    torch.manual_seed(training.recipe.seed)
    fresh = SamMi(training.recipe.network).state_dict()
    trained = network.state_dict()
    for name in (
        "decoder.head.weight",
        "aggregator.embed.weight",
        "prompter.text_head.weight",
        "prompter.visual_head.weight",
    ):
        assert not torch.equal(trained[name], fresh[name])

    engine = load_engine(training.write_weights(network), device="cpu")
    assert engine.version.startswith("base-0.0.1+")
    assert engine.version != base.version
    assert engine.propose(np.zeros((50, 70, 3), np.uint8), ["cat", "car"]).labels == ("cat", "car")

    again = SamMiTraining(training.recipe, base, training.run_dir.parent, training.run_dir).run()
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize(("left_out", "gate", "other"), [("low", "low.cost_gate", "high1.gate"), ("high", "high2.gate", "low.intra_gate")])
def test_a_half_of_the_injection_that_is_left_out_never_opens(world, base, tmp_path, left_out, gate, other):
    recipe = replace(debug_recipe(), without=(left_out,))
    network = SamMi(recipe.network)
    [(parameters, _)] = SamMiTraining(recipe, base, world, tmp_path).stage.parameter_groups(network)
    learning = {id(parameter) for parameter in parameters}
    assert network.get_parameter(gate).abs().max() == 0
    assert id(network.get_parameter(gate)) not in learning
    assert id(network.get_parameter(other)) in learning


def test_a_part_that_cannot_be_left_out_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="without 'words'; the parts that can be left out are low, high"):
        train_sam_mi(tmp_path / "data", tmp_path / "run", without=["words"])
    assert not list(tmp_path.iterdir())


def test_a_run_folder_of_another_recipe_is_refused(training, base, world):
    training.run()
    other = replace(debug_recipe(), seed=1)
    with pytest.raises(ValueError, match="use another run folder"):
        SamMiTraining(other, base, world, training.run_dir).run()


def test_a_lesson_holds_masks_labels_and_targets_of_one_size(training):
    network, lengths = SamMi(training.recipe.network), set()
    for step in range(30):
        rng = step_generator(0, "sam-mi", step)
        lesson = training.stage.lesson(network, training.stage.sampler.batch(rng, 2), rng)
        lengths.add(lesson.text.shape[1])
        check_lesson(lesson)
    # Lists of every length, or the network knows none but the longest.
    assert lengths == set(range(1, debug_recipe().labels + 1))


def check_lesson(lesson: Lesson) -> None:
    labels = lesson.text.shape[1]
    assert lesson.target.shape == (2, 1 + labels, 64, 64)
    torch.testing.assert_close(lesson.target.sum(dim=1), torch.ones(2, 64, 64))
    assert lesson.maps.features.shape == (2, 128, 16, 16)
    assert lesson.masks.soft.shape[2:] == (64, 64)
    assert lesson.judged.any()


def test_batches_label_every_pixel_with_the_class_of_the_object_there(world):
    scenes = SceneSet(world / "train")
    batch = SemanticSampler([(scenes, 1.0)], CLASSES).batch(np.random.default_rng(0), 4)
    assert batch.labels.shape == (4, 256, 256)
    names = {CLASSES[number - 1] for number in batch.labels.unique().tolist() if number > 0}
    assert names
    assert names <= {one.name for index in range(len(scenes)) for one in scenes.meta(index).objects}


def test_coverage_shares_every_cell_among_labels_and_nothing():
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, :2, :2], labels[0, :2, 2] = 3, 5
    shares = label_coverage(labels, torch.tensor([[4, 2]]), 2)
    assert shares[0, :, 0].tolist() == [[0.0, 0.5], [0.0, 0.5], [1.0, 0.0]]


def test_the_prompter_is_told_the_middle_of_every_region():
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    labels[0, :20, :20], labels[0, 40:60, 40:60], labels[0, :2, 60:] = 1, 1, 2
    target = middle_targets(labels, 64, 8)[0]
    assert target[1, 1] == 1
    assert target[6, 6] == 1
    assert target[0, 7] == 0
    assert 0 < target[0, 1] < 1


@pytest.fixture
def two_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines of 20 classes, three of which look like something; the first image shows class 15, the second nothing."""
    cost = torch.zeros(2, 20, 2, 2)
    cost[0, [3, 7, 11]] = cost[1, [4, 8, 12]] = 0.9
    labels = torch.zeros(2, 4, 4, dtype=torch.int64)
    labels[0, 0, 0] = 1 + 15
    return cost, labels


def test_every_image_compares_what_it_shows_then_what_looks_alike(two_images):
    cost, labels = two_images
    drawn = [choose_labels(cost, labels, 5, np.random.default_rng(seed)) for seed in range(50)]
    assert all({3, 7, 11} <= set(one[0].tolist()) and {4, 8, 12} <= set(one[1].tolist()) for one in drawn)
    assert 0.7 < np.mean([15 in one[0] for one in drawn]) < 0.95  # a list seldom names everything
    assert all(row == sorted(set(row)) and len(row) == 5 for one in drawn for row in one.tolist())


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (19, 19), (20, 20), (100, 20)])
def test_a_list_is_as_long_as_asked_for(two_images, count: int, expected: int):
    for seed in range(20):
        assert choose_labels(*two_images, count, np.random.default_rng(seed)).shape == (2, expected)


def test_what_is_not_listed_is_nothing():
    labels = torch.tensor([[[0, 3], [5, 5]], [[3, 0], [0, 1]]])
    assert listed(labels, torch.tensor([[2, 9], [0, 9]])).tolist() == [[[0, 3], [0, 0]], [[0, 0], [0, 1]]]


def test_rough_masks_keep_their_image_and_some_are_dropped():
    rng = np.random.default_rng(0)
    masks = [torch.rand(10, 8, 8), torch.zeros(0, 8, 8), torch.rand(3, 8, 8)]
    counts = [roughen(masks, rng).valid.sum(dim=1).tolist() for _ in range(100)]
    assert all(one[1] == 0 for one in counts)
    assert 5 < np.mean([one[0] for one in counts]) < 9
    assert 0 in [one[0] for one in counts]


def test_the_loss_prefers_the_right_label_and_silence_where_nothing_is():
    target = torch.zeros(1, 3, 2, 2)
    target[0, 1, 0], target[0, 0, 1] = 1, 1
    right = torch.full((1, 2, 2, 2), -4.0)
    right[0, 0, 0] = 4
    losses = [label_loss(logits, target).item() for logits in (right, torch.zeros_like(right), -right)]
    assert losses == sorted(losses)
