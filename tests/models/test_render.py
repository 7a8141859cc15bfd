"""Overlays show what was found and name what was not."""

from __future__ import annotations

import numpy as np
import pytest

from models.render import PALETTE, draw_overlay
from tests.factories import make_image, make_mask, make_segment

IMAGE = make_image((300, 400))


def segment_at(box: tuple[int, int, int, int], text: str = "dog"):
    return make_segment(text, mask=make_mask((300, 400), box))


def test_pixels_far_from_every_segment_stay_as_they_were():
    overlay = draw_overlay(IMAGE, ["dog"], [[segment_at((100, 100, 150, 150))]])
    assert np.array_equal(overlay[200:], IMAGE[200:])
    assert overlay.shape == IMAGE.shape


def test_a_segment_is_tinted_inside_and_outlined_in_its_colour():
    overlay = draw_overlay(IMAGE, ["dog"], [[segment_at((100, 100, 150, 150))]])
    assert overlay[149, 120].tolist() == list(PALETTE[0])
    inside = overlay[130, 120].astype(int)
    assert (np.abs(inside - IMAGE[0, 0]) > 10).any()
    assert (np.abs(inside - PALETTE[0]) > 10).any()


def test_two_segments_of_one_phrase_have_different_colours():
    found = [[segment_at((10, 100, 60, 150)), segment_at((200, 100, 260, 150))]]
    overlay = draw_overlay(IMAGE, ["all dogs"], found)
    assert overlay[149, 30].tolist() != overlay[149, 230].tolist()


def test_phrases_not_found_are_named_in_a_strip_below_the_image():
    one = draw_overlay(IMAGE, ["cat"], [[]])
    two = draw_overlay(IMAGE, ["cat", "zebra"], [[], []])
    assert np.array_equal(one[:300], IMAGE)
    assert 300 < one.shape[0] < two.shape[0]
    assert (one[300:] < 100).any(), "the strip must carry text"


def test_a_label_stays_inside_the_image_at_the_upper_right_corner():
    overlay = draw_overlay(IMAGE, ["a dog with a long name"], [[segment_at((390, 0, 400, 10), "a dog with a long name")]])
    assert (overlay[0:8, 250:380] == PALETTE[0]).all(axis=-1).any()


@pytest.mark.parametrize(
    "phrase",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 10_000, id="10 000 characters"),
        pytest.param("der 🐶\nund die Katze 猫", id="emoji, line break and Chinese"),
    ],
)
@pytest.mark.parametrize("is_found", [True, False], ids=["found", "not found"])
def test_any_phrase_can_be_drawn_on_a_tiny_image(phrase, is_found):
    found = [[make_segment(mask=make_mask((3, 2), (0, 0, 1, 1)))]] if is_found else [[]]
    assert draw_overlay(make_image((3, 2)), [phrase], found).shape[1] == 2


@pytest.mark.parametrize(
    ("phrases", "found", "message"),
    [
        pytest.param(["dog"], [], "one list of segments per phrase", id="list missing"),
        pytest.param(["dog"], [[make_segment()]], "but the image has", id="mask of another size"),
    ],
)
def test_answers_that_do_not_fit_are_refused(phrases, found, message):
    with pytest.raises(ValueError, match=message):
        draw_overlay(IMAGE, phrases, found)
