"""The next batch: doubtful, diverse, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from models.selection import choose_batch


def unit(*angles: float) -> np.ndarray:
    """Vectors on the unit circle, angles in degrees."""
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_the_most_doubtful_image_comes_first() -> None:
    assert choose_batch(unit(0, 90, 180), np.array([0.1, 0.9, 0.5]), 1) == [1]


def test_of_two_alike_doubtful_images_only_one_is_taken_before_another_kind() -> None:
    assert choose_batch(unit(0, 1, 120), np.array([0.9, 0.89, 0.3]), 2) == [0, 2]


def test_of_two_kinds_that_are_alike_far_the_more_doubtful_one_is_taken() -> None:
    assert choose_batch(unit(0, 90, 270), np.array([1.0, 0.2, 0.8]), 2) == [0, 2]


def test_what_is_annotated_already_pushes_its_like_back() -> None:
    vectors, doubts = unit(0, 90), np.array([0.9, 0.4])
    assert choose_batch(vectors, doubts, 2) == [0, 1]
    assert choose_batch(vectors, doubts, 2, known=unit(2)) == [1, 0]


def test_every_image_is_chosen_once_when_the_budget_allows() -> None:
    vectors = np.repeat(unit(0, 90), 3, axis=0)  # with copies, whose distance becomes 0
    assert sorted(choose_batch(vectors, np.zeros(6), 100)) == list(range(6))


def test_ties_go_to_the_first() -> None:
    assert choose_batch(unit(0, 0, 0), np.array([0.5, 0.5, 0.5]), 2) == [0, 1]


def test_no_image_and_no_budget_give_no_choice() -> None:
    assert choose_batch(np.zeros((0, 4)), np.zeros(0), 5) == []
    assert choose_batch(unit(0), np.ones(1), 0) == []


@pytest.mark.parametrize(
    ("doubts", "budget", "said"),
    [
        pytest.param([1.0], 1, "2 vectors and 1 doubts", id="a doubt is missing"),
        pytest.param([1.0, 1.0], -1, "negative", id="a budget below 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(doubts: list[float], budget: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        choose_batch(unit(0, 90), np.array(doubts), budget)
