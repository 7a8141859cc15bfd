"""Reading gestures: every recorded form, and whatever else may arrive."""

from __future__ import annotations

from typing import Any

import pytest

from backend.gestures import BoxGesture, parse_gestures
from tests.backend.messages import box, click, typed


def test_a_typed_prompt_is_read_without_size_or_label() -> None:
    (prompt,) = parse_gestures([typed("  the left dog ")]).prompts
    assert (prompt.prompt, prompt.to_name, prompt.item_index) == ("the left dog", "image", None)


def test_of_several_texts_in_one_box_the_newest_is_meant() -> None:
    (prompt,) = parse_gestures([{**typed("x"), "value": {"text": ["the left dog", "the right dog"]}}]).prompts
    assert prompt.prompt == "the right dog"


def test_of_several_texts_the_one_that_was_edited_is_meant() -> None:
    stored = [typed("another box", id="t2"), {**typed("x"), "value": {"text": ["the left dog", "the right dog"]}}, None]
    (prompt,) = parse_gestures([{**typed("x"), "value": {"text": ["the left cat", "the right dog"]}}], stored).prompts
    assert prompt.prompt == "the left cat"


@pytest.mark.parametrize("saved", [["the left dog"], ["the left dog", "the right dog"], []], ids=["behind", "up to date", "none"])
def test_a_saved_draft_of_any_age_leaves_a_new_text_the_newest(saved: list[str]) -> None:
    stored = [{**typed("x"), "value": {"text": saved}}]
    (prompt,) = parse_gestures([{**typed("x"), "value": {"text": ["the left dog", "the right dog"]}}], stored).prompts
    assert prompt.prompt == "the right dog"


def test_clicks_carry_place_sign_and_label() -> None:
    first, second = parse_gestures([click(10, 20), click(30, 40, "Cat", is_positive=False, item_index=1)]).clicks
    assert (first.x, first.y, first.is_positive, first.label, first.item_index) == (10, 20, True, "Dog", None)
    assert (second.is_positive, second.label, second.item_index) == (False, "Cat", 1)


def test_a_click_without_a_sign_is_positive() -> None:
    entry = click(10, 20)
    del entry["is_positive"]
    assert parse_gestures([entry]).clicks[0].is_positive


def test_an_upright_box_becomes_pixels() -> None:
    (drawn,) = parse_gestures([box(25, 50, 50, 25)]).boxes
    assert drawn.to_pixels((100, 200)) == pytest.approx((50, 50, 150, 75))


def test_a_turned_box_is_taken_by_its_corners() -> None:
    turned = BoxGesture(50, 0, 20, 10, 90, None, "image", None)
    assert turned.to_pixels((100, 100)) == pytest.approx((40, 0, 50, 20))


def test_a_box_off_the_image_is_clipped() -> None:
    assert BoxGesture(-10, -10, 200, 200, 0, None, "image", None).to_pixels((10, 20)) == pytest.approx((0, 0, 20, 10))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(None, id="nothing"),
        pytest.param("text", id="a text"),
        pytest.param({}, id="an empty object"),
        pytest.param({"type": "keypointlabels", "value": None}, id="no value"),
        pytest.param({"type": "keypointlabels", "value": {"x": "10", "y": 3}}, id="a position that is a text"),
        pytest.param({"type": "keypointlabels", "value": {"x": float("nan"), "y": 3}}, id="a position that is no number"),
        pytest.param({"type": "rectanglelabels", "value": {"x": 1, "y": 1, "width": 0, "height": 5}}, id="a box without width"),
        pytest.param({"type": "rectanglelabels", "value": {"x": 1, "y": 10**400, "width": 1, "height": 5}}, id="a huge number"),
        pytest.param({"type": "brushlabels", "value": {"rle": []}}, id="a brush stroke"),
        pytest.param({"type": ["x"], "value": {}}, id="a type that is a list"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_still_counts(entry: Any) -> None:
    gestures = parse_gestures([entry, click(1, 1)])
    assert len(gestures.problems) == 1
    assert len(gestures.clicks) == 1


@pytest.mark.parametrize("text", [None, 5, [], [""], ["   "], [None, 7], {"a": 1}])
def test_an_empty_text_asks_for_nothing(text: Any) -> None:
    assert parse_gestures([{**typed("x"), "value": {"text": text}}]).prompts == ()
