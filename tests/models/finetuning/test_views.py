"""Other views of an image show the same things with the same masks, and say only what stays true."""

from __future__ import annotations

import numpy as np
import pytest

from models.finetuning.views import AS_IT_IS, LARGEST_ANGLE, SCALES, View, draw_views

SIDE = 96


def picture() -> tuple[np.ndarray, np.ndarray]:
    """A bright rectangle off the middle, and its mask."""
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[30:60, 20:44] = True
    return np.where(mask[..., None], np.uint8(230), np.uint8(20)) * np.ones(3, np.uint8), mask


@pytest.mark.parametrize(
    "view", [AS_IT_IS, View(is_mirrored=True), View(angle=-15.0), View(scale=0.8), View(is_mirrored=True, angle=20.0, scale=0.75)]
)
def test_the_mask_moves_with_what_it_marks(view: View) -> None:
    image, mask = picture()
    seen, where = view.image(image)[..., 0] > 125, view.mask(mask)
    assert (seen & where).sum() / (seen | where).sum() > 0.95
    assert where.sum() == pytest.approx(mask.sum() * view.scale**2, rel=0.03)


def test_a_mirror_swaps_sides_and_turns_nothing() -> None:
    _, mask = picture()
    assert np.array_equal(View(is_mirrored=True).mask(mask), mask[:, ::-1])


@pytest.mark.parametrize(("text", "is_kept"), [("the left dog", False), ("the RIGHTMOST cat", False), ("the upper dog", True)])
def test_sides_are_not_spoken_of_in_a_mirror(text: str, is_kept: bool) -> None:
    assert View(is_mirrored=True, angle=5.0).keeps_true(text) == is_kept
    assert View(angle=5.0).keeps_true(text)


def test_views_are_drawn_once_and_for_ever_and_differ() -> None:
    views = draw_views("ab" * 16, 7)
    assert views == draw_views("ab" * 16, 7)
    assert views[:2] == [AS_IT_IS, View(is_mirrored=True)]
    assert len({view.key for view in views}) == 7
    assert all(abs(view.angle) <= LARGEST_ANGLE and SCALES[0] <= view.scale <= SCALES[1] for view in views)
    assert views[2:] != draw_views("cd" * 16, 7)[2:]
