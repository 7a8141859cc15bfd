"""Doubt: what each sign says about answers whose worth is plain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.answer import Evidence
from models.doubt import (
    AGGREGATES,
    CANDIDATES,
    answer_doubt,
    binary_entropy,
    disagreement,
    expected_error,
    map_entropy,
    mask_stability,
    mean_in_play,
    proposal_doubt,
    segment_judged,
    task_doubt,
)
from tests.factories import FakeEngine, make_image, make_proposal

SURE = Evidence(is_found=True, presence=0.99, predicted_iou=0.95, stability=0.97, relevance_entropy=0.05)
UNSURE = Evidence(is_found=True, presence=0.6, predicted_iou=0.5, stability=0.6, relevance_entropy=0.7)


def test_a_mask_with_steep_borders_is_stable_and_one_at_its_threshold_is_not() -> None:
    steep, flat = np.full((8, 8), -9.0), np.full((8, 8), -0.5)
    steep[2:6, 2:6], flat[2:6, 2:6] = 9.0, 0.5
    assert mask_stability(steep) == 1.0
    assert mask_stability(flat) == 0.0
    flat[2:6, 2:4] = 3.0
    assert mask_stability(flat) == 8 / 64


def test_a_mask_that_stays_empty_is_stable() -> None:
    assert mask_stability(np.full((4, 4), -9.0)) == 1.0


@pytest.mark.parametrize(("probability", "bits"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.25, 0.811278)])
def test_an_even_chance_is_one_bit(probability: float, bits: float) -> None:
    assert binary_entropy(probability) == pytest.approx(bits, abs=1e-6)


def test_a_map_is_open_where_it_hesitates_whatever_the_size_of_the_object() -> None:
    small, large = np.full(100, 1e-4), np.full(100, 1e-4)
    small[:2], large[:50] = 0.999, 0.999
    hesitant = np.where(small > 0.5, 0.5, small)
    assert map_entropy(small) < 0.05
    assert map_entropy(large) < 0.05
    assert map_entropy(hesitant) > 0.9


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param([1, 1, 0, 0], [1, 1, 0, 0], 0.0, id="the same"),
        pytest.param([1, 1, 0, 0], [0, 0, 1, 1], 1.0, id="nothing in common"),
        pytest.param([1, 1, 0, 0], [0, 1, 1, 0], 2 / 3, id="half"),
        pytest.param([0, 0, 0, 0], [0, 0, 0, 0], 0.0, id="both silent"),
        pytest.param([1, 0, 0, 0], [0, 0, 0, 0], 1.0, id="one silent"),
    ],
)
def test_two_wordings_disagree_by_what_their_masks_do_not_share(one: list[int], other: list[int], expected: float) -> None:
    assert disagreement(np.array([one], np.bool_), np.array([other], np.bool_)) == pytest.approx(expected)


def test_silence_is_as_doubtful_as_a_target_is_likely() -> None:
    silent = Evidence(is_found=False, presence=0.3, predicted_iou=0.9, stability=0.9)
    assert expected_error(silent) == 0.3
    assert expected_error(SURE) == pytest.approx(1 - 0.99 * 0.95)


@pytest.mark.parametrize("sign", CANDIDATES)
def test_every_sign_finds_the_unsure_answer_more_doubtful(sign: str) -> None:
    doubt = CANDIDATES[sign]
    assert 0 <= doubt(SURE) < doubt(UNSURE) <= 1


def test_sure_absences_do_not_hide_a_doubtful_answer() -> None:
    absent = Evidence(is_found=False, presence=0.001, predicted_iou=0.5, stability=0.5)
    doubts, evidences = [expected_error(UNSURE)] + 50 * [expected_error(absent)], [UNSURE] + 50 * [absent]
    assert AGGREGATES["mean"](doubts, evidences) < 0.05
    assert mean_in_play(doubts, evidences) > 0.6


def test_an_answer_is_doubtful_as_far_as_a_person_could_tell_something() -> None:
    there = Evidence(is_found=True, presence=1.0, predicted_iou=0.8, stability=0.5)
    assert answer_doubt(there) == pytest.approx(0.5 * (1 - 0.8 * 0.5)), "only the outline is open"
    assert answer_doubt(replace(there, presence=0.0, is_found=False)) == 0.0, "nothing is open"
    assert answer_doubt(replace(there, presence=0.5)) == pytest.approx(0.5 * (1.0 + 0.5 * 0.6))
    assert 0 <= answer_doubt(replace(there, presence=0.5, predicted_iou=0.0)) <= 1


def test_silence_counts_as_much_as_the_mask_that_might_have_been_shown() -> None:
    assert answer_doubt(UNSURE) == answer_doubt(replace(UNSURE, is_found=False))


def test_a_task_is_the_more_doubtful_the_more_there_is_to_tell() -> None:
    unsure, sure = answer_doubt(UNSURE), answer_doubt(SURE)
    assert task_doubt([sure]) < task_doubt([unsure]) < task_doubt([unsure, sure]) < task_doubt([unsure, unsure]) < 1
    assert task_doubt([1.0, 1.0]) == pytest.approx(2 / 3)
    assert task_doubt([]) == 1.0, "nothing was asked, or a list found nothing"


def test_a_proposal_is_as_doubtful_as_an_answer_of_its_score() -> None:
    proposal = make_proposal(score=0.7, stability=0.6)
    assert proposal_doubt(proposal) == answer_doubt(Evidence(is_found=True, presence=0.7, predicted_iou=1.0, stability=0.6))
    assert proposal_doubt(make_proposal(score=1.0, stability=1.0)) == 0.0


def test_of_what_is_not_shown_nothing_counts_where_only_shown_masks_are_summed_up() -> None:
    silent = Evidence(is_found=False, presence=0.4, predicted_iou=0.5, stability=0.2)
    assert AGGREGATES["max of found"]([0.8, 0.1], [silent, SURE]) == 0.1, "the mask that is not shown does not count"
    assert AGGREGATES["mean of found"]([0.8], [silent]) == 1.0


def test_an_engine_that_does_not_judge_itself_is_judged_by_its_scores() -> None:
    engine = FakeEngine(scores={"cat": 0.4}, instances={"ghost": 0})
    dog, cat, ghost = segment_judged(engine, make_image(), ["dog", "cat", "ghost"])
    assert dog.evidence.presence == pytest.approx(0.9)
    assert answer_doubt(dog.evidence) == pytest.approx(0.5 * binary_entropy(0.9))
    assert answer_doubt(cat.evidence) == pytest.approx(0.5 * binary_entropy(0.4))
    assert not ghost.evidence.is_found
    assert [one.text for one in dog.segments] == ["dog"]
