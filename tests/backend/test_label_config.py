"""Labeling configs to plans: every control and attribute that is read, and every config that cannot be used."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import LabelConfigError
from backend.label_config import (
    ImageObject,
    LabelPlan,
    LabelSpec,
    PromptControl,
    SmartControl,
    parse_label_config,
    with_task_labels,
)

IMAGE = '<Image name="image" value="$image"/>'
MASK = '<BrushLabels name="mask" toName="image"><Label value="Dog"/></BrushLabels>'

EVERYTHING = """
<View>
  <Header value="Everything at once"/>
  <View style="display: flex">
    <Image name="photo" value="$photo" zoom="true"/>
    <View><Image name="maps" valueList="$maps"/></View>
  </View>
  <BrushLabels name="brush" toName="photo"><Label value="Cat"/><Label value="Dog"/></BrushLabels>
  <BitmaskLabels name="bits" toName="photo"><Label value="Cat"/></BitmaskLabels>
  <View><PolygonLabels name="poly" toName="maps"><Label value="River"/></PolygonLabels></View>
  <RectangleLabels name="box" toName="photo" smart="true"><Label value="Cat"/></RectangleLabels>
  <KeyPointLabels name="point" toName="photo" smart="true"><Label value="Cat"/></KeyPointLabels>
  <KeyPointLabels name="landmark" toName="photo"><Label value="Nose"/></KeyPointLabels>
  <EllipseLabels name="round" toName="photo"><Label value="Ball"/></EllipseLabels>
  <Brush name="free" toName="photo"/>
  <TextArea name="words" toName="photo"/>
  <TextArea name="remark" toName="photo" perRegion="true"/>
  <Text name="caption" value="$caption"/>
  <TextArea name="summary" toName="caption"/>
  <Choices name="quality" toName="photo"><Choice value="good"/></Choices>
  <Labels name="spans" toName="caption"><Label value="Noun"/></Labels>
</View>
"""


def plan_of(*parts: str) -> LabelPlan:
    return parse_label_config(f"<View>{''.join(parts)}</View>")


def labels_of(*labels: str) -> tuple[LabelSpec, ...]:
    return plan_of(IMAGE, f'<BrushLabels name="mask" toName="image">{"".join(labels)}</BrushLabels>').outputs[0].labels


def test_every_image_and_control_of_a_config_is_found() -> None:
    plan = parse_label_config(EVERYTHING)
    cat = LabelSpec("Cat", ("Cat",))
    assert plan.images == (ImageObject("photo", "photo"), ImageObject("maps", "maps", is_list=True))
    assert [(o.name, o.kind, o.to_name, o.tag, o.smart) for o in plan.outputs] == [
        ("brush", "brush", "photo", "BrushLabels", False),
        ("bits", "bitmask", "photo", "BitmaskLabels", False),
        ("poly", "polygon", "maps", "PolygonLabels", False),
        ("box", "rectangle", "photo", "RectangleLabels", True),
        ("free", "brush", "photo", "Brush", False),
    ]
    assert plan.outputs[0].labels == (cat, LabelSpec("Dog", ("Dog",)))
    assert plan.outputs[4].labels == ()
    assert plan.smart_controls == (SmartControl("box", "rectangle", "photo", (cat,)), SmartControl("point", "keypoint", "photo", (cat,)))
    assert plan.prompt_controls == (PromptControl("words", "photo"),)
    assert plan.prompt_field is None


def test_what_is_not_used_is_noted() -> None:
    notes = plan_of(
        IMAGE, MASK, '<EllipseLabels name="round" toName="image"/>', '<Polygon name="hand" toName="image" model_skip="true"/>'
    ).notes
    assert [note.split(" ", 2)[:2] for note in notes] == [["EllipseLabels", "'round'"], ["Polygon", "'hand'"]]
    assert "model_skip" in notes[1]


def test_tags_and_attributes_may_be_written_in_any_case() -> None:
    plan = parse_label_config('<view><image NAME="i" Value="$x"/><brushLABELS name="b" TONAME="i"><label VALUE="A"/></brushLABELS></view>')
    assert (plan.images[0].data_key, plan.outputs[0].tag, plan.outputs[0].labels[0].value) == ("x", "BrushLabels", "A")


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        pytest.param('<Label value="traffic_light"/>', LabelSpec("traffic_light", ("traffic light",), ()), id="identifier"),
        pytest.param('<Label value="X" predicted_values="car, van,,car"/>', LabelSpec("X", ("car", "van"), ()), id="predicted_values"),
        pytest.param(
            '<Label value="X" prompt="red car" predicted_values="car"/>',
            LabelSpec("X", ("red car",), is_expression=True),
            id="prompt first",
        ),
        pytest.param('<Label value="X" prompt=" , "/>', LabelSpec("X", (), ()), id="empty prompt: never asked for by itself"),
        pytest.param('<Label value="X" predicted_values=""/>', LabelSpec("X", ("X",), ()), id="empty predicted_values"),
        pytest.param('<Label value="Sky" model_kind="Stuff"/>', LabelSpec("Sky", ("Sky",), is_stuff=True), id="stuff"),
        pytest.param('<Label value="Dog" model_kind="thing"/>', LabelSpec("Dog", ("Dog",)), id="things, as without a word"),
        pytest.param('<Label value="Dog" hint="any canine"/>', LabelSpec("Dog", ("Dog",), ("any canine",)), id="hint names only"),
        pytest.param('<Label value="Big dog" alias="d"/>', LabelSpec("d", ("Big dog",), ("Big dog",)), id="alias is what regions carry"),
        pytest.param('<Label value="__"/>', LabelSpec("__", ("__",), ()), id="no words in it"),
        pytest.param('<Label value="D&quot;g &amp; 犬"/>', LabelSpec('D"g & 犬', ('D"g & 犬',), ()), id="entities and scripts"),
    ],
)
def test_a_label_gives_its_phrases_and_names(xml: str, expected: LabelSpec) -> None:
    assert labels_of(xml) == (expected,)


def test_labels_without_value_and_repeated_labels_are_left_out() -> None:
    found = labels_of('<Label value="A" prompt="first"/>', "<Label/>", '<Label value=" "/>', '<Label value="B"/>', '<Label value="A"/>')
    assert [label.value for label in found] == ["A", "B"]
    assert found[0].phrases == ("first",)


def test_attributes_of_a_control_are_read() -> None:
    plan = plan_of(
        IMAGE,
        '<BrushLabels name="a" toName="image" model_score_threshold="0.25" model_max_regions="5" model_keep_prompt="true" model="SAM-MI"/>',
        '<PolygonLabels name="b" toName="image" model_prompt_field="$caption" model_keep_prompt="false"/>',
        '<RectangleLabels name="c" toName="image" smart="true" model_skip="true"/>',
    )
    first, second = plan.outputs
    assert (first.score_threshold, first.max_regions, first.keep_prompt, first.model) == (0.25, 5, True, "sam-mi")
    assert (second.score_threshold, second.max_regions, second.keep_prompt, second.model) == (None, None, False, None)
    assert plan.prompt_field == "caption"
    assert plan.smart_controls == ()


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        pytest.param('model_score_threshold="high"', "a number from 0 to 1", id="threshold is a word"),
        pytest.param('model_score_threshold="1.5"', "a number from 0 to 1", id="threshold above 1"),
        pytest.param('model_score_threshold="nan"', "a number from 0 to 1", id="threshold is nan"),
        pytest.param('model_max_regions="0"', "a number from 1", id="no regions"),
        pytest.param('model_max_regions="2.5"', "a whole number", id="half a region"),
        pytest.param('model_max_regions="inf"', "a number from 1", id="infinite regions"),
        pytest.param('model_skip="maybe"', "true or false", id="skip"),
        pytest.param('smart="perhaps"', "true or false", id="smart"),
        pytest.param('model="sam"', "sam-mi or ssp-sam", id="a model that nobody knows"),
    ],
)
def test_an_attribute_that_cannot_be_used_is_named(attribute: str, expected: str) -> None:
    with pytest.raises(LabelConfigError, match=expected) as caught:
        plan_of(IMAGE, f'<RectangleLabels name="mask" toName="image" {attribute}/>')
    assert "'mask'" in caught.value.message
    assert attribute.split("=")[0] in caught.value.message


def test_a_control_for_two_objects_belongs_to_the_image() -> None:
    plan = plan_of(IMAGE, '<Text name="t" value="$t"/>', '<BrushLabels name="mask" toName="t, image"/>')
    assert plan.outputs[0].to_name == "image"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        pytest.param("", "not XML", id="empty"),
        pytest.param("a dog", "not XML", id="plain text"),
        pytest.param("<View><Image></View>", "not XML", id="tags do not match"),
        pytest.param("<View>\ud800</View>", "not XML", id="half a character"),
        pytest.param("<View>\x00</View>", "not XML", id="null character"),
        pytest.param("<View/>", "no Image", id="empty view"),
        pytest.param('<View><Text name="t" value="$t"/></View>', r"no Image \(found: Text, View\)", id="text only"),
        pytest.param(f'<View><Image name="i"/>{MASK}</View>', "expected a name and the task field", id="image without value"),
        pytest.param('<View><Image value="$image"/></View>', "expected a name and the task field", id="image without name"),
        pytest.param('<View><Image name="i" value="http://x/a.png"/></View>', "expected a name and the task field", id="fixed image"),
        pytest.param(f"<View>{IMAGE}</View>", "no control at all", id="image only"),
        pytest.param(
            f'<View>{IMAGE}<Choices name="c" toName="image"><Choice value="x"/></Choices></View>', "found: Choices 'c'", id="choices only"
        ),
        pytest.param(f'<View>{IMAGE}<KeyPointLabels name="k" toName="image"/></View>', "KeyPointLabels 'k'", id="points only"),
        pytest.param(f'<View>{IMAGE}<BrushLabels name="b" toName="photo"/></View>', "toName='photo'.*images: image", id="wrong toName"),
        pytest.param(f'<View>{IMAGE}<BrushLabels name="b"/></View>', "toName=''", id="no toName"),
        pytest.param(f'<View>{IMAGE}<BrushLabels toName="image"/></View>', "BrushLabels ''", id="control without name"),
        pytest.param(f'<View>{IMAGE}<BrushLabels name="b" toName="image" model_skip="1"/></View>', "model_skip", id="all skipped"),
        pytest.param('<!DOCTYPE x [<!ENTITY a "aa">]><View>&a;</View>', "document type", id="entity"),
        pytest.param('<!DOCTYPE x SYSTEM "file:///etc/passwd"><View/>', "document type", id="external document type"),
        pytest.param("<View>" + " " * 1_000_000 + "</View>", "at most 1000000", id="too large"),
        pytest.param(None, "found NoneType", id="none"),
        pytest.param(["<View/>"], "found list", id="list"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_with_the_reason(xml: Any, message: str) -> None:
    with pytest.raises(LabelConfigError, match=message):
        parse_label_config(xml)


def test_a_very_deep_config_is_read_or_refused_in_good_time() -> None:
    depth = 120_000
    start = time.monotonic()
    with pytest.raises(LabelConfigError):
        parse_label_config("<a>" * depth + "</a>" * depth)
    assert time.monotonic() - start < 20


def test_the_same_config_is_read_once() -> None:
    assert plan_of(IMAGE, MASK) is plan_of(IMAGE, MASK)


FRAGMENTS = st.sampled_from(
    [
        "<View>", "</View>", IMAGE, MASK, '<BrushLabels name="m" toName="image"', "<Label", ' value="', ' value="$x"', '"', "/>", ">",
        ' model_max_regions="', "9" * 400, "-1", "1e999", "<!DOCTYPE", "<!--", "-->", "<![CDATA[", "]]>", "&#0;", "&lt;", "<?xml ", "?>",
        'version="1.0"', 'encoding="utf-16"', "$", "犬", "\ud800", "\x00", "<x:View>", ' xmlns="y"', "<?target data?>",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.one_of(FRAGMENTS, st.text(max_size=5)), max_size=25).map("".join)))
def test_any_text_gives_a_plan_or_a_label_config_error(text: str) -> None:
    try:
        plan = parse_label_config(text)
    except LabelConfigError:
        return
    assert plan.images
    assert plan.outputs


DYNAMIC = plan_of(IMAGE, '<BrushLabels name="mask" toName="image" value="$things"><Label value="Other"/></BrushLabels>')


def test_labels_may_come_with_the_task() -> None:
    plan = with_task_labels(DYNAMIC, {"things": [{"value": "Dog", "hint": "a canine", "background": 3}, "traffic_light"]})
    assert plan.outputs[0].labels == (
        LabelSpec("Other", ("Other",)),
        LabelSpec("Dog", ("Dog",), ("a canine",)),
        LabelSpec("traffic_light", ("traffic light",)),
    )
    assert DYNAMIC.outputs[0].labels == (LabelSpec("Other", ("Other",)),)


def test_a_plan_without_labels_of_the_task_stays_as_it_is() -> None:
    plan = plan_of(IMAGE, MASK)
    assert with_task_labels(plan, {}) is plan


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="no field"),
        pytest.param({"things": "Dog"}, id="text"),
        pytest.param({"things": [{"name": "Dog"}]}, id="item without value"),
        pytest.param({"things": [7]}, id="number"),
        pytest.param({"things": [{"value": 7}]}, id="value is a number"),
    ],
)
def test_a_task_without_usable_labels_is_refused_with_the_field_it_lacks(data: dict[str, Any]) -> None:
    with pytest.raises(LabelConfigError, match="task field 'things'"):
        with_task_labels(DYNAMIC, data)
