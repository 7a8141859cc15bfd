"""Semantic figures: a table by hand, and random maps against sums over sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from models.semantic_metrics import BACKGROUND, IGNORED, MESS, count_pairs, paint_labels, semantic_scores

LABELS = ("road", "sky", "tree")


def row(*labels: int) -> np.ndarray:
    """A map of one row."""
    return np.array([labels], np.int32)


HAND_MADE = count_pairs(
    row(1, 1, 1, 1, 2, 2, 0, 0, 0, IGNORED),
    row(1, 1, 2, 0, 2, 3, 0, 0, 1, 1),
    3,
)
"""Road: 2 of 4 found, one called sky, one nothing. Sky: 1 of 2, one called tree. Nothing: one called road. The last is not judged."""


def test_mess_judges_labelled_pixels_only():
    scores = semantic_scores(HAND_MADE, LABELS, MESS)
    assert scores.iou == {"road": 2 / 4, "sky": 1 / 3, "tree": 0.0}
    assert scores.miou == pytest.approx((2 / 4 + 1 / 3 + 0) / 3)
    assert scores.pixel_accuracy == 3 / 6
    assert scores.accuracy == {"road": 0.5, "sky": 0.5, "tree": None}
    assert scores.mean_accuracy == 0.5
    assert scores.pixels == {"road": 4, "sky": 2, "tree": 0}


def test_with_background_a_label_on_nothing_is_wrong():
    scores = semantic_scores(HAND_MADE, LABELS, BACKGROUND)
    assert scores.iou == {"road": 2 / 5, "sky": 1 / 3, "tree": 0.0}
    assert scores.pixel_accuracy == 5 / 9
    assert scores.mean_accuracy == 0.5


def test_a_label_that_never_occurs_counts_nowhere():
    scores = semantic_scores(count_pairs(row(1, 1), row(1, 1), 3), LABELS, MESS)
    assert scores.iou == {"road": 1.0, "sky": None, "tree": None}
    assert scores.miou == 1.0


def test_nothing_at_all_has_no_figures():
    scores = semantic_scores(count_pairs(row(IGNORED), row(1), 3), LABELS, BACKGROUND)
    assert (scores.miou, scores.pixel_accuracy, scores.mean_accuracy) == (None, None, None)


MAPS = st_numpy.arrays(np.int32, (4, 5), elements=st.integers(0, 3))


@settings(deadline=None)
@given(truth=MAPS, found=MAPS, protocol=st.sampled_from([MESS, BACKGROUND]))
def test_figures_agree_with_sets_of_pixels(truth, found, protocol):
    scores = semantic_scores(count_pairs(truth, found, 3), LABELS, protocol)
    judged = {place for place in np.ndindex(truth.shape) if protocol == BACKGROUND or truth[place] > 0}
    for number, label in enumerate(LABELS, 1):
        is_it = {place for place in judged if truth[place] == number}
        called = {place for place in judged if found[place] == number}
        expected = len(is_it & called) / len(is_it | called) if is_it | called else None
        assert scores.iou[label] == expected
    right = sum(truth[place] == found[place] for place in judged)
    assert scores.pixel_accuracy == (right / len(judged) if judged else None)


@settings(deadline=None)
@given(first=st.tuples(MAPS, MAPS), second=st.tuples(MAPS, MAPS))
def test_counts_of_images_add_up_to_those_of_the_set(first, second):
    apart = count_pairs(*first, 3) + count_pairs(*second, 3)
    together = count_pairs(np.vstack([first[0], second[0]]), np.vstack([first[1], second[1]]), 3)
    assert np.array_equal(apart, together)


def test_of_overlapping_masks_the_higher_rank_wins_and_of_equals_the_later():
    left, right = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert paint_labels((1, 3), [(left, 1, 0.9), (right, 2, 0.5)]).tolist() == [[1, 1, 2]]
    assert paint_labels((1, 3), [(left, 1, 0.5), (right, 2, 0.5)]).tolist() == [[1, 2, 2]]


def test_crowds_are_ignored_except_where_an_object_is_known():
    crowd, known = np.array([[True, True, False]]), np.array([[False, True, False]])
    assert paint_labels((1, 3), [(known, 2, 0.0)], ignored=[crowd]).tolist() == [[IGNORED, 2, 0]]


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        pytest.param(row(1, 2), row(1), "of one size", id="other size"),
        pytest.param(row(4), row(1), r"must lie in 0..3, found 4..4", id="unknown label"),
        pytest.param(row(1), row(IGNORED), "must lie in", id="an answer cannot be ignored"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(truth, found, message):
    with pytest.raises(ValueError, match=message):
        count_pairs(truth, found, 3)
