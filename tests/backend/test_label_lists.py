"""Labels that are looked for together: when, what the engine is asked, and which control gets what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.claims import Region
from backend.expressions import asks_of_labels
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.label_lists import listed_controls
from backend.predict import Outcome, TaskPrediction, predict_tasks
from backend.regions import region_to_mask
from models import Engine, RgbImage, load_engine
from tests.factories import FakeEngine, FakeProposingEngine, fake_mask, make_data_uri, make_image, make_settings, make_task

IMAGE = '<Image name="image" value="$image"/>'
TEXT_BOX = '<TextArea name="words" toName="image"/>'


def config(*parts: str) -> str:
    return f"<View>{IMAGE}{''.join(parts)}</View>"


def brush(*labels: str, **attributes: str) -> str:
    return control("BrushLabels", *labels, name="mask", **attributes)


def control(tag: str, *labels: str, **attributes: str) -> str:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    shown = "".join(label if label.startswith("<") else f'<Label value="{label}"/>' for label in labels)
    return f'<{tag} toName="image"{written}>{shown}</{tag}>'


@pytest.fixture
def predict(tmp_path: Path) -> Any:
    """Predict one task."""

    def call(xml: str, engine: FakeEngine, data: dict[str, Any] | None = None, **settings: Any) -> TaskPrediction:
        chosen = make_settings(tmp_path, **settings)
        task = make_task(data={"image": make_data_uri(), **(data or {})})
        plan = parse_label_config(xml)
        (found,) = predict_tasks([task], plan, engine, ImageLoader(chosen, None), chosen, model_version=engine.version)
        return found

    return call


def labels_of(regions: Sequence[Region]) -> list[tuple[str, str]]:
    return [(region["from_name"], region["value"][region["type"]][0]) for region in regions]


def questions(engine: FakeEngine) -> list[tuple[str, list[str]]]:
    """What the engine was asked: the method, and phrases or names."""
    return [(method, arguments if method == "segment" else arguments[0]) for method, arguments in engine.calls]


TOGETHER = [("propose", ["Dog", "Cat"])]
ONE_BY_ONE = [("segment", ["Dog", "Cat"])]


@pytest.mark.parametrize(
    ("parts", "data", "asked"),
    [
        pytest.param([brush("Dog", "Cat")], {}, TOGETHER, id="nothing but labels"),
        pytest.param([brush("Dog", "Cat"), TEXT_BOX], {}, ONE_BY_ONE, id="a text box for prompts"),
        pytest.param([brush("Dog", '<Label value="Cat" prompt="Cat"/>')], {}, ONE_BY_ONE, id="a label with a prompt"),
        pytest.param([brush("Dog", "Cat", model_prompt_field="words")], {}, ONE_BY_ONE, id="a field for prompts"),
        pytest.param([brush("Dog", "Cat")], {"prompt": "x"}, [("segment", ["x", "Dog", "Cat"])], id="a task with a prompt"),
        pytest.param([brush("Dog", "Cat")], {"prompt": " "}, TOGETHER, id="a task with a blank prompt"),
        pytest.param([brush("Dog", "Cat", model="ssp-sam")], {}, ONE_BY_ONE, id="the control wants them one by one"),
        pytest.param([brush("Dog", "Cat", model=" SAM-MI "), TEXT_BOX], {}, TOGETHER, id="the control wants them together"),
        pytest.param(
            [brush("Dog", "Cat", model="sam-mi")], {"prompt": "x"}, [*TOGETHER, ("segment", ["x"])], id="together, and a task's prompt"
        ),
        pytest.param([brush("Dog", '<Label value="Cat" prompt=""/>')], {}, [("propose", ["Dog"])], id="a label that is never asked for"),
        pytest.param([brush()], {}, [], id="no label"),
        pytest.param([brush("Dog", model="sam-mi")], {}, [("propose", ["Dog"])], id="one label"),
    ],
)
def test_labels_are_looked_for_together_where_there_is_nothing_else(
    predict: Any, parts: list[str], data: dict[str, Any], asked: list[tuple[str, list[str]]]
) -> None:
    engine = FakeProposingEngine()
    assert predict(config(*parts), engine, data).outcome is Outcome.DONE
    assert questions(engine) == asked


def test_an_engine_without_lists_is_asked_one_by_one_unless_the_config_insists(predict: Any) -> None:
    engine = FakeEngine()
    assert labels_of(predict(config(brush("Dog", "Cat")), engine).regions) == [("mask", "Dog"), ("mask", "Cat")]
    assert questions(engine) == ONE_BY_ONE
    refused = predict(config(brush("Dog", model="sam-mi")), engine)
    assert refused.outcome is Outcome.FAILED
    assert refused.reason == (
        "BrushLabels 'mask' says model=\"sam-mi\", but the model that serves, 'fake', takes no list of labels; "
        'write model="ssp-sam", or serve another profile'
    )


def test_an_engine_that_has_learned_phrases_is_asked_in_phrases_unless_the_config_insists(predict: Any) -> None:
    learned = FakeProposingEngine(prefers_lists=False)
    predict(config(brush("Dog", "Cat")), learned)
    predict(config(brush("Dog", "Cat", model="sam-mi")), learned)
    assert questions(learned) == ONE_BY_ONE + TOGETHER


def test_all_controls_share_one_question_and_each_gets_its_own_labels(predict: Any) -> None:
    engine = FakeProposingEngine(instances={"Dog": 2})
    xml = config(
        brush("Dog", "Cat", model="sam-mi"),
        control("PolygonLabels", "Car", name="outline", model="sam-mi"),
        control("RectangleLabels", "Dog", name="box", model="sam-mi"),
        control("BitmaskLabels", "Fox", name="bits", model="ssp-sam"),
    )
    regions = predict(xml, engine).regions
    assert questions(engine) == [("propose", ["Dog", "Cat", "Car"]), ("segment", ["Fox"])]
    assert sorted(labels_of(regions)) == [
        ("bits", "Fox"),
        ("box", "Dog"),
        ("box", "Dog"),
        ("mask", "Cat"),
        ("mask", "Dog"),
        ("mask", "Dog"),
        ("outline", "Car"),
    ]
    for region in regions:
        assert "meta" not in region, "words of the config are no prompt of a person"
    (cat,) = (region for region in regions if labels_of([region]) == [("mask", "Cat")])
    np.testing.assert_array_equal(region_to_mask(cat, (48, 64)), fake_mask(make_image(), "Cat"))


def test_a_label_in_two_controls_goes_to_the_truest_shape_unless_the_other_names_its_model(predict: Any) -> None:
    silent = config(brush("Dog"), control("RectangleLabels", "Dog", name="box"))
    assert labels_of(predict(silent, FakeProposingEngine()).regions) == [("mask", "Dog")]
    named = silent.replace('name="box"', 'name="box" model="ssp-sam"')
    assert labels_of(predict(named, FakeProposingEngine()).regions) == [("mask", "Dog"), ("box", "Dog")]


def test_synonyms_are_names_of_one_label(predict: Any) -> None:
    engine = FakeProposingEngine()
    found = predict(config(brush('<Label value="Fruit" predicted_values="apple,plum"/>', "Dog")), engine)
    assert questions(engine) == [("propose", ["apple", "plum", "Dog"])]
    assert sorted(labels_of(found.regions)) == [("mask", "Dog"), ("mask", "Fruit"), ("mask", "Fruit")]


def test_two_spellings_of_one_name_are_one_question_whose_answer_both_labels_get(predict: Any) -> None:
    engine = FakeProposingEngine()
    xml = config(
        brush('<Label value="A" predicted_values="big  Dog"/>'),
        control("PolygonLabels", '<Label value="B" predicted_values="Big dog"/>', name="p"),
    )
    assert labels_of(predict(xml, engine).regions) == [("mask", "A"), ("p", "B")]
    assert questions(engine) == [("propose", ["big  Dog"])]


def test_of_two_labels_with_one_name_in_one_control_the_first_gets_the_object(predict: Any) -> None:
    xml = config(brush('<Label value="A" predicted_values="dog"/>', '<Label value="B" predicted_values="dog"/>'))
    assert labels_of(predict(xml, FakeProposingEngine()).regions) == [("mask", "A")]


def test_things_give_a_region_per_object_and_stuff_one_for_all_its_pixels(predict: Any) -> None:
    engine = FakeProposingEngine(instances={"Dog": 3, "Sky": 3})
    found = predict(config(brush("Dog", '<Label value="Sky" model_kind="stuff"/>')), engine)
    assert sorted(labels_of(found.regions)) == [("mask", "Dog")] * 3 + [("mask", "Sky")]
    (_, (_, _, options)) = engine.calls[0]
    assert options.stuff == {"Sky"}
    (sky,) = (region for region in found.regions if labels_of([region]) == [("mask", "Sky")])
    whole = np.any([fake_mask(make_image(), "Sky", number) for number in range(3)], axis=0)
    np.testing.assert_array_equal(region_to_mask(sky, (48, 64)), whole)
    assert sky["score"] == 0.9


def test_synonyms_of_stuff_are_one_region(predict: Any) -> None:
    engine = FakeProposingEngine(scores={"lake": 0.6, "pond": 0.8})
    found = predict(config(brush('<Label value="Water" predicted_values="lake,pond" model_kind="stuff"/>')), engine)
    (region,) = found.regions
    union = fake_mask(make_image(), "lake") | fake_mask(make_image(), "pond")
    np.testing.assert_array_equal(region_to_mask(region, (48, 64)), union)
    assert region["score"] == 0.8


def test_nothing_of_stuff_gives_no_region(predict: Any) -> None:
    found = predict(config(brush('<Label value="Sky" model_kind="stuff"/>')), FakeProposingEngine(instances={"Sky": 0}))
    assert (found.outcome, found.regions) == (Outcome.DONE, ())


def test_thresholds_and_limits_are_each_controls_own(predict: Any) -> None:
    engine = FakeProposingEngine(instances={"Dog": 4}, scores={"Dog": 0.9, "Car": 0.5, "Cat": 0.3, "Fox": 0.3})
    xml = config(
        brush("Dog", model_max_regions="2"),
        control("PolygonLabels", "Car", "Cat", name="sure", model_score_threshold="0.4"),
        control("BitmaskLabels", "Fox", name="all", model_score_threshold="0"),
    )
    found = predict(xml, engine, score_threshold=0.8)
    assert labels_of(found.regions) == [("mask", "Dog"), ("mask", "Dog"), ("all", "Fox"), ("sure", "Car")]


def test_labels_of_the_task_may_say_what_is_stuff(predict: Any) -> None:
    engine = FakeProposingEngine(instances={"Sky": 2})
    xml = config('<BrushLabels name="mask" toName="image" value="$labels"/>')
    data = {"labels": [{"value": "Dog"}, {"value": "Sky", "model_kind": "stuff"}]}
    assert sorted(labels_of(predict(xml, engine, data).regions)) == [("mask", "Dog"), ("mask", "Sky")]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([f"label {number}" for number in range(1000)], id="a thousand"),
        pytest.param([f"label {number}" for number in range(3000)], id="as many as are read"),
        pytest.param(["Dog", "dog", "DOG", " Dog "], id="one label in many spellings"),
        pytest.param(["狗", "कुत्ता", "σκύλος", "🐕", "Straße"], id="other languages"),
        pytest.param(["_", "--", "...", "0"], id="no words"),
    ],
)
@pytest.mark.timeout(30)  # far more than it takes, and far less than if each label took time for each other
def test_every_list_of_labels_is_one_question_and_gets_an_answer(predict: Any, names: list[str]) -> None:
    engine = FakeProposingEngine()
    found = predict(config(brush(*names)), engine)
    assert found.outcome is Outcome.DONE
    assert [method for method, _ in engine.calls] == ["propose"]
    assert 1 <= len(found.regions) <= 30
    assert {label for _, label in labels_of(found.regions)} <= {name.strip() for name in names}


def test_a_remembered_prompt_is_asked_by_itself(tmp_path: Path) -> None:
    plan = parse_label_config(config(brush("Dog", "Cat", model="sam-mi", model_keep_prompt="true"), TEXT_BOX))
    listed = listed_controls(plan, "image", FakeProposingEngine(), has_prompts=False)
    asks = asks_of_labels(plan, "image", {"Dog": "the wet dog"}, make_settings(tmp_path), listed)
    assert [(ask.phrase, ask.prompt, ask.in_list) for ask in asks] == [("the wet dog", "the wet dog", False), ("Cat", None, True)]


@pytest.fixture(scope="module")
def tiny() -> Engine:
    """The shipped model."""
    return load_engine("tiny", device="cpu")


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(make_image((96, 96), (255, 255, 255)), id="blank"),
        pytest.param(make_image((1, 1)), id="one pixel"),
        pytest.param(make_image((1, 300)), id="a line"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (320, 80, 3), np.uint8), id="four times as high as wide, noise"),
        pytest.param(np.random.default_rng(1).integers(0, 256, (80, 320, 3), np.uint8), id="four times as wide as high, noise"),
    ],
)
def test_the_shipped_model_answers_for_images_that_show_nothing(predict: Any, tiny: Any, image: RgbImage) -> None:
    xml = config(brush("dog", '<Label value="tree" model_kind="stuff"/>'), control("PolygonLabels", "狗", "car", name="p"))
    found = predict(xml, tiny, {"image": make_data_uri(image)}, score_threshold=0.0)
    assert found.outcome is Outcome.DONE
    assert 0.0 <= found.score <= 1.0
    for region in found.regions:
        assert region_to_mask(region, image.shape[:2]).any()
