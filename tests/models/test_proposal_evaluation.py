"""The right answer scores one, no answer scores nought, and what is in between counts what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.data.emoji_scenes import CLASSES, SceneSet
from models.proposal_evaluation import LabelledImage, evaluate_label_lists, evaluate_short_lists, labelled_scenes
from models.proposals import Proposals, ProposalStages
from models.types import Segment
from tests.emoji_world import write_split
from tests.factories import make_proposal

LABELS = tuple(CLASSES)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> SceneSet:
    root: Path = tmp_path_factory.mktemp("scenes")
    return write_split(root, "held-out-scenes", 4)


def answer(wanted: LabelledImage, *, labels: bool = True, objects: bool = True, shift: int = 0) -> Proposals:
    """What is right, or part of it, or the same with other labels."""
    found = [
        make_proposal(Segment(LABELS[(label + shift) % len(LABELS)], mask, 0.9), (label + shift) % len(LABELS))
        for label, mask in wanted.objects
    ]
    none = np.zeros((2, 4, 4), np.bool_)
    stages = ProposalStages(none[0].astype(np.int32), none[0].astype(np.float32), np.zeros((5, 2)), none, none[:1], {})
    label_map = wanted.label_map if labels else np.zeros_like(wanted.label_map)
    return Proposals(LABELS, label_map, tuple(found) if objects else (), stages)


def score(scenes: SceneSet, **how) -> dict:
    images = list(labelled_scenes(scenes, LABELS))
    answers = iter([answer(one, **how) for one in images])
    return evaluate_label_lists(lambda image, labels: next(answers), images, LABELS)


def test_the_right_answer_scores_one_everywhere(scenes):
    scores = score(scenes)
    for name in ("miou", "miou_mess", "pixel_accuracy", "pixel_accuracy_mess", "ap", "ar100", "ar100_any_label"):
        assert scores[name] == pytest.approx(1.0), name
    assert scores["images"] == 4
    assert scores["points_per_image"] == 5
    assert scores["sam_masks_per_object"] == pytest.approx(2 * scores["joined_masks_per_object"])
    assert scores["proposals_per_image"] == scores["objects"] / 4


@pytest.mark.parametrize("length", [1, 4, 60])
def test_a_short_list_is_scored_by_what_it_names(scenes, length: int):
    images = list(labelled_scenes(scenes, LABELS))
    asked: list[list[str]] = []

    def right(image, labels):
        asked.append(labels)
        (wanted,) = (one for one in images if one.image is image)
        places = [LABELS.index(label) + 1 for label in labels]
        label_map = np.zeros_like(wanted.label_map)
        for number, place in enumerate(places, start=1):
            label_map[wanted.label_map == place] = number
        return replace(answer(wanted), pixels=label_map)

    def everywhere(image, labels):
        return replace(answer(images[0]), pixels=np.ones(image.shape[:2], np.int32))

    assert evaluate_short_lists(right, images, LABELS, length) == {"miou": 1.0, "false_labels": 0.0}
    assert all(len(set(one)) == length for one in asked)
    wrong = evaluate_short_lists(everywhere, images, LABELS, length)
    assert 0 <= wrong["miou"] < 0.5
    assert 0 <= wrong["false_labels"] <= 1


def test_no_answer_finds_nothing_and_is_right_about_the_background_alone(scenes):
    scores = score(scenes, labels=False, objects=False)
    assert scores["miou"] == scores["pixel_accuracy_mess"] == scores["ar100"] == 0
    assert 0 < scores["pixel_accuracy"] < 1


def test_right_masks_with_wrong_labels_count_only_where_labels_do_not(scenes):
    scores = score(scenes, shift=1)
    assert scores["ar100_any_label"] == pytest.approx(1.0)
    assert scores["ar100"] < 0.5


def test_a_set_without_images_has_no_figures():
    scores = evaluate_label_lists(lambda image, labels: pytest.fail("nobody is asked"), [], LABELS)
    assert scores["images"] == 0
    assert scores["miou"] is None
    assert scores["ap"] is None


def test_scenes_name_every_pixel_and_their_number_can_be_limited(scenes):
    [first] = labelled_scenes(scenes, LABELS, 1)
    meta = scenes.meta(0)
    assert first.image.shape == (*meta.size_hw, 3)
    for (label, mask), one in zip(first.objects, meta.objects, strict=True):
        assert LABELS[label] == one.name
        assert (first.label_map[mask] == label + 1).all()
