"""Gestures of an annotator: prompts, clicks and boxes, alone and mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import BadRequest, ImageUnavailable
from backend.images import ImageLoader
from backend.interactive import InteractiveAnswer, answer_gesture
from backend.label_config import parse_label_config
from backend.regions import region_to_mask
from tests.backend.messages import CONFIG, box, click, typed
from tests.factories import FakeEngine, fake_mask, make_data_uri, make_image, make_settings, make_task

MULTI = CONFIG.replace('value="$image"', 'valueList="$pages"')


@pytest.fixture
def answer(tmp_path: Path) -> Any:
    def call(result: list[Any], engine: FakeEngine, xml: str = CONFIG, task: Any = None) -> InteractiveAnswer:
        settings = make_settings(tmp_path)
        return answer_gesture(task or make_task(), result, parse_label_config(xml), engine, ImageLoader(settings, None), settings)

    return call


def test_a_typed_prompt_becomes_masks_under_the_label_that_it_names(answer: Any) -> None:
    found = answer([typed("both cats")], FakeEngine(instances={"both cats": 2}))
    assert [region["value"]["brushlabels"] for region in found.regions] == [["Cat"], ["Cat"]]
    assert all(region["meta"] == {"text": ["both cats"]} for region in found.regions)
    assert all(region["id"].startswith("wm-") for region in found.regions)
    np.testing.assert_array_equal(region_to_mask(found.regions[0], (48, 64)), fake_mask(make_image(), "both cats"))
    assert found.prompts == (("Cat", "both cats"),)
    assert found.score == pytest.approx(0.9)


def test_a_prompt_for_several_things_puts_each_under_its_own_label(answer: Any) -> None:
    engine = FakeEngine(instances={"all dogs": 2})
    found = answer([typed("all dogs and the cat")], engine)
    assert engine.calls == [("segment", ["all dogs", "the cat"])]
    assert sorted(region["value"]["brushlabels"][0] for region in found.regions) == ["Cat", "Dog", "Dog"]
    assert all(region["meta"] == {"text": ["all dogs and the cat"]} for region in found.regions)
    assert found.prompts == (("Dog", "all dogs"), ("Cat", "the cat"))


def test_of_several_things_only_what_was_found_is_remembered(answer: Any) -> None:
    found = answer([typed("the dog and the cat")], FakeEngine(instances={"the dog": 0}))
    assert [region["value"]["brushlabels"] for region in found.regions] == [["Cat"]]
    assert found.prompts == (("Cat", "the cat"),)


def test_several_things_of_one_label_are_remembered_as_they_were_typed(answer: Any) -> None:
    found = answer([typed("the black and the white cat")], FakeEngine())
    assert [region["value"]["brushlabels"] for region in found.regions] == [["Cat"], ["Cat"]]
    assert found.prompts == (("Cat", "the black and the white cat"),)


def test_a_part_that_names_no_label_goes_where_the_whole_prompt_would(answer: Any) -> None:
    found = answer([typed("the black cat and the white one")], FakeEngine())
    assert [region["value"]["brushlabels"] for region in found.regions] == [["Cat"], ["Cat"]]


def test_a_prompt_that_finds_nothing_says_so_and_is_not_remembered(answer: Any) -> None:
    found = answer([typed("a unicorn")], FakeEngine(instances={"a unicorn": 0}))
    assert (found.regions, found.score, found.prompts) == ((), 0.0, ())
    assert found.problems == ("nothing was found for the prompt 'a unicorn'",)


def test_clicks_give_one_mask_under_the_label_clicked(answer: Any) -> None:
    engine = FakeEngine()
    found = answer([click(50, 50, "Cat"), click(10, 10, "Dog", is_positive=False)], engine)
    assert engine.calls == [("points", ([[32.0, 24.0], [6.4, 4.8]], [True, False], None))]
    (region,) = found.regions
    assert (region["type"], region["from_name"], region["value"]["brushlabels"]) == ("brushlabels", "brush", ["Cat"])
    assert region_to_mask(region, (48, 64))[24, 32]
    assert "meta" not in region


def test_the_label_of_a_positive_click_counts_even_after_a_negative_one(answer: Any) -> None:
    found = answer([click(10, 10, "Dog", is_positive=False), click(50, 50, "Cat")], FakeEngine())
    assert found.regions[0]["value"]["brushlabels"] == ["Cat"]


def test_only_negative_clicks_mark_nothing(answer: Any) -> None:
    engine = FakeEngine()
    found = answer([click(10, 10, is_positive=False)], engine)
    assert (found.regions, engine.calls) == ((), [])
    assert found.problems == ("the clicks or boxes mark no object",)


def test_a_click_on_the_rim_stays_inside_the_image(answer: Any) -> None:
    engine = FakeEngine()
    answer([click(100, 100), click(-3, 140)], engine)
    assert engine.calls[0][1][0] == [[63.0, 47.0], [0.0, 47.0]]


def test_each_box_gives_a_mask_under_its_own_label(answer: Any) -> None:
    found = answer([box(0, 0, 50, 50, "Dog"), box(50, 50, 25, 25, "Cat")], FakeEngine())
    assert [region["value"]["brushlabels"] for region in found.regions] == [["Dog"], ["Cat"]]
    assert region_to_mask(found.regions[0], (48, 64)).sum() == 24 * 32


def test_a_box_that_holds_nothing_gives_no_region(answer: Any) -> None:
    found = answer([box(150, 150, 5, 5)], FakeEngine())
    assert found.regions == ()


def test_clicks_with_a_box_give_one_mask(answer: Any) -> None:
    engine = FakeEngine()
    found = answer([box(0, 0, 50, 50), click(25, 25)], engine)
    assert engine.calls == [("points", ([[16.0, 12.0]], [True], (0.0, 0.0, 32.0, 24.0)))]
    assert len(found.regions) == 1


def test_a_prompt_and_a_click_are_both_answered(answer: Any) -> None:
    assert len(answer([typed("a cat"), click(50, 50)], FakeEngine()).regions) == 2


def test_a_click_on_a_later_image_is_answered_there(answer: Any) -> None:
    pages = [make_data_uri(make_image((48, 64))), make_data_uri(make_image((10, 20)))]
    (region,) = answer([click(50, 50, item_index=1)], FakeEngine(), MULTI, make_task(data={"pages": pages})).regions
    assert (region["item_index"], region["original_width"], region["original_height"]) == (1, 20, 10)


def test_a_prompt_searches_every_image_of_a_list(answer: Any) -> None:
    pages = [make_data_uri(), make_data_uri()]
    found = answer([typed("a dog")], FakeEngine(), MULTI, make_task(data={"pages": pages}))
    assert [region["item_index"] for region in found.regions] == [0, 1]


def test_an_image_that_is_not_in_the_list_is_named(answer: Any) -> None:
    with pytest.raises(ImageUnavailable, match="image 5 of a list of 1"):
        answer([click(1, 1, item_index=5)], FakeEngine(), MULTI, make_task(data={"pages": [make_data_uri()]}))


def test_a_gesture_on_an_unknown_image_is_refused(answer: Any) -> None:
    with pytest.raises(BadRequest, match="no Image of the labeling config"):
        answer([typed("a dog", to_name="elsewhere")], FakeEngine())


def test_a_prompt_that_is_far_too_long_is_refused(answer: Any) -> None:
    with pytest.raises(BadRequest, match="10000 characters"):
        answer([typed("x" * 10_000)], FakeEngine())


def test_without_a_brush_the_mask_becomes_a_polygon(answer: Any) -> None:
    xml = CONFIG.replace("BrushLabels", "PolygonLabels")
    (region,) = answer([click(50, 50)], FakeEngine(), xml).regions
    assert region["type"] == "polygonlabels"


def test_an_unreadable_entry_is_named_and_the_rest_is_answered(answer: Any) -> None:
    found = answer([{"type": "ellipselabels", "value": {}}, typed("a dog")], FakeEngine())
    assert len(found.regions) == 1
    assert "ellipselabels" in found.problems[0]
