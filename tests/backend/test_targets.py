"""Which control gets a label's regions."""

from __future__ import annotations

import pytest

from backend.label_config import parse_label_config
from backend.targets import label_targets, target_of_label, target_of_prompt

IMAGE = '<Image name="image" value="$image"/>'
BRUSH_DOG = '<BrushLabels name="brush" toName="image"><Label value="Dog"/></BrushLabels>'
POLYGON_DOG_CAT = '<PolygonLabels name="poly" toName="image"><Label value="dog"/><Label value="Cat"/></PolygonLabels>'
BOX_DOG = '<RectangleLabels name="box" toName="image" smart="true"><Label value="Dog"/></RectangleLabels>'
BARE_BRUSH = '<Brush name="brush" toName="image"/>'


def names(xml: str, image: str = "image") -> list[tuple[str, str]]:
    return [(control.name, label.value) for control, label in label_targets(parse_label_config(f"<View>{xml}</View>"), image)]


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        pytest.param(IMAGE + BOX_DOG, [("box", "Dog")], id="a rectangle alone gets its labels"),
        pytest.param(IMAGE + BOX_DOG + BRUSH_DOG, [("brush", "Dog")], id="a brush goes before a rectangle, wherever it stands"),
        pytest.param(
            IMAGE + POLYGON_DOG_CAT + BRUSH_DOG, [("brush", "Dog"), ("poly", "Cat")], id="labels that differ go each to their own control"
        ),
        pytest.param(IMAGE + BARE_BRUSH, [], id="a control without labels asks for nothing by itself"),
    ],
)
def test_each_label_has_one_control(xml: str, expected: list[tuple[str, str]]) -> None:
    assert names(xml) == expected


def test_a_control_that_is_to_be_skipped_leaves_its_labels_to_others() -> None:
    assert names(IMAGE + BRUSH_DOG.replace("<BrushLabels", '<BrushLabels model_skip="true"') + POLYGON_DOG_CAT) == [
        ("poly", "dog"),
        ("poly", "Cat"),
    ]


def test_controls_of_another_image_are_not_meant() -> None:
    other = '<Image name="other" value="$other"/>' + BRUSH_DOG.replace('toName="image"', 'toName="other"')
    assert names(IMAGE + POLYGON_DOG_CAT + other, "other") == [("brush", "Dog")]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        pytest.param("the cat on the left", ("poly", "Cat"), id="a label of the second control"),
        pytest.param("the dogs", ("brush", "Dog"), id="a plural"),
        pytest.param("the thing", ("brush", "Dog"), id="no label named"),
    ],
)
def test_a_prompt_goes_where_its_label_is(prompt: str, expected: tuple[str, str]) -> None:
    plan = parse_label_config(f"<View>{IMAGE}{BRUSH_DOG}{POLYGON_DOG_CAT}</View>")
    target = target_of_prompt(plan, prompt, "image")
    assert target is not None
    assert (target[0].name, target[1].value) == expected


def test_a_prompt_finds_a_control_without_labels() -> None:
    target = target_of_prompt(parse_label_config(f"<View>{IMAGE}{BARE_BRUSH}</View>"), "a dog", "image")
    assert target is not None
    assert (target[0].name, target[1].value) == ("brush", "")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        pytest.param("Dog", ("brush", "Dog"), id="in two controls"),
        pytest.param("cat", ("poly", "Cat"), id="in another case"),
        pytest.param("Horse", ("brush", "Dog"), id="unknown"),
        pytest.param(None, ("brush", "Dog"), id="none"),
    ],
)
def test_a_clicked_label_goes_to_the_truest_shape_that_has_it(label: str | None, expected: tuple[str, str]) -> None:
    plan = parse_label_config(f"<View>{IMAGE}{BOX_DOG}{POLYGON_DOG_CAT}{BRUSH_DOG}</View>")
    target = target_of_label(plan, label, "image")
    assert target is not None
    assert (target[0].name, target[1].value) == expected
