"""Every shipped labeling config says what its comment promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.label_config import (
    ImageObject,
    LabelPlan,
    LabelSpec,
    OutputControl,
    PromptControl,
    SmartControl,
    match_label,
    parse_label_config,
)
from models.data.emoji_scenes.vocabulary import CLASSES

FOLDER = Path(__file__).parents[2] / "annotation_configs"
CONFIGS = sorted(FOLDER.glob("*.xml"))

IMAGES = (ImageObject("image", "image"),)
PROMPT = (PromptControl("prompt", "image"),)
ONLY_PROMPTED = tuple(LabelSpec(label, ()) for label in ("Object", "Cat", "Dog", "Car", "Tree", "Apple"))
NAMED = tuple(LabelSpec(label, (label,)) for label in ("Cat", "Dog", "Car", "Tree", "Apple"))
CLASS_LIST = (
    LabelSpec("Cat", ("Cat",)),
    LabelSpec("Dog", ("Dog",)),
    LabelSpec("Vehicle", ("car", "bus", "truck"), is_expression=True),
    LabelSpec("Tree", ("Tree",)),
    LabelSpec("Fruit", ("apple", "pear", "banana")),
)
THINGS = (
    LabelSpec("Cat", ("Cat",)),
    LabelSpec("Dog", ("Dog",)),
    LabelSpec("Vehicle", ("car", "bus", "truck")),
    LabelSpec("Fruit", ("apple", "pear", "banana")),
)
STUFF = (LabelSpec("Trees", ("tree",), is_stuff=True), LabelSpec("Flowers", ("rose", "tulip", "sunflower"), is_stuff=True))

EXPECTED = {
    "text_prompt_brush": LabelPlan(
        IMAGES, (OutputControl("mask", "brush", "image", ONLY_PROMPTED, "BrushLabels"),), prompt_controls=PROMPT
    ),
    "text_prompt_polygon": LabelPlan(
        IMAGES, (OutputControl("outline", "polygon", "image", ONLY_PROMPTED, "PolygonLabels"),), prompt_controls=PROMPT
    ),
    "label_list_brush": LabelPlan(
        IMAGES, (OutputControl("mask", "brush", "image", CLASS_LIST, "BrushLabels", score_threshold=0.4, max_regions=20),)
    ),
    "label_list_things_and_stuff": LabelPlan(
        IMAGES,
        (
            OutputControl("things", "polygon", "image", THINGS, "PolygonLabels", max_regions=40, model="sam-mi"),
            OutputControl("stuff", "brush", "image", STUFF, "BrushLabels", score_threshold=0.4, model="sam-mi"),
        ),
    ),
    "smart_tools_and_text": LabelPlan(
        IMAGES,
        (
            OutputControl("mask", "brush", "image", NAMED, "BrushLabels"),
            OutputControl("box", "rectangle", "image", NAMED, "RectangleLabels", smart=True),
        ),
        smart_controls=(SmartControl("click", "keypoint", "image", NAMED), SmartControl("box", "rectangle", "image", NAMED)),
        prompt_controls=PROMPT,
    ),
    "referring_expressions": LabelPlan(
        IMAGES,
        (OutputControl("mask", "brush", "image", ONLY_PROMPTED, "BrushLabels"),),
        prompt_controls=PROMPT,
        prompt_field="prompt",
    ),
}


def test_every_config_has_its_expected_plan() -> None:
    assert {path.stem for path in CONFIGS} == set(EXPECTED)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_gives_its_plan(path: Path) -> None:
    assert parse_label_config(path.read_text(encoding="utf-8")) == EXPECTED[path.stem]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_begins_with_a_comment_on_when_to_pick_it_and_the_readme_lists_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("<!--\n  Pick this ")
    assert f"| `{path.name}` |" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_model_knows_every_word_that_a_config_asks_for(path: Path) -> None:
    plan = parse_label_config(path.read_text(encoding="utf-8"))
    phrases = {phrase.lower() for control in plan.outputs for label in control.labels for phrase in label.phrases}
    assert phrases <= set(CLASSES)


@pytest.mark.parametrize(("prompt", "label"), [("the red car on the left", "Car"), ("two apples", "Apple"), ("the blue thing", "Object")])
def test_typed_words_find_the_label_that_the_comment_promises(prompt: str, label: str) -> None:
    control = EXPECTED["text_prompt_brush"].outputs[0]
    found = match_label(prompt, control)
    assert found is not None
    assert found.value == label
