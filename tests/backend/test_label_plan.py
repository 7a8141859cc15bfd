"""Which label the words of a prompt name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.label_plan import ImageObject, LabelPlan, LabelSpec, OutputControl, match_label, split_identifier


def control(*labels: LabelSpec | str) -> OutputControl:
    specs = tuple(LabelSpec(label, (label,)) if isinstance(label, str) else label for label in labels)
    return OutputControl("mask", "brush", "image", specs, "BrushLabels")


ZOO = control(
    "Cat",
    "Dog",
    "Traffic light",
    "Light",
    LabelSpec("veh", ("car", "fire truck"), ("Vehicle with wheels",)),
    "person_on_foot",
    "Box",
    "Fly",
    "Cap",
    "Cape",
    "Stairs",
    LabelSpec("bird_species", ("bird",)),
    LabelSpec("犬", ("dog of the shiba kind",)),
)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        pytest.param("the DOG on the left", "Dog", id="other case"),
        pytest.param("all dogs", "Dog", id="plural"),
        pytest.param("both boxes", "Box", id="plural in es"),
        pytest.param("three flies", "Fly", id="plural in ies"),
        pytest.param("the red cape", "Cape", id="not a shorter word with e"),
        pytest.param("two buses and a stair", "Stairs", id="label in plural"),
        pytest.param("a dog beside a cat", "Dog", id="named first"),
        pytest.param("the traffic light", "Traffic light", id="longest of those at one place"),
        pytest.param("the light above the dog", "Light", id="named first though shorter"),
        pytest.param("the second fire truck from the left", "veh", id="phrase of two words"),
        pytest.param("vehicles with wheels", "veh", id="hint"),
        pytest.param("VEH", "veh", id="value that is no word"),
        pytest.param("a person on foot", "person_on_foot", id="underscores are spaces"),
        pytest.param("dogma", "Cat", id="part of a word does not count"),
        pytest.param("fire dog truck", "Dog", id="words of a phrase must stand together"),
        pytest.param("左の黒い犬", "犬", id="no spaces between words"),
        pytest.param("the giraffe", "Cat", id="no label named: the first"),
        pytest.param("", "Cat", id="empty"),
        pytest.param("🐶 !?", "Cat", id="no words"),
        pytest.param("xyz " * 5000 + "dog", "Dog", id="very long"),
    ],
)
def test_a_prompt_finds_its_label(prompt: str, expected: str) -> None:
    label = match_label(prompt, ZOO)
    assert label is not None
    assert label.value == expected


def test_a_control_without_labels_gives_none() -> None:
    assert match_label("dog", control()) is None


def test_the_label_is_one_of_the_controls_own() -> None:
    first, second = control("Cat", "Dog"), control("Cat", "Dog")
    assert match_label("dog", first) is first.labels[1]
    assert match_label("dog", second) is second.labels[1]


@given(st.text(max_size=200))
def test_any_text_finds_some_label(prompt: str) -> None:
    assert match_label(prompt, ZOO) in ZOO.labels


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("traffic_light", "traffic light", id="underscore"),
        pytest.param("traffic-light", "traffic light", id="dash"),
        pytest.param("TrafficLight", "Traffic Light", id="camel case"),
        pytest.param("  traffic   light ", "traffic light", id="spaces"),
        pytest.param("t-shirt", "t-shirt", id="a dash that belongs to the word"),
        pytest.param("USA", "USA", id="capitals"),
        pytest.param("___", "", id="nothing but underscores"),
    ],
)
def test_identifiers_become_words(name: str, words: str) -> None:
    assert split_identifier(name) == words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("dog", "Dog", id="other case"),
        pytest.param("Vehicle with wheels", "veh", id="alias"),
        pytest.param("dogs", None, id="plural is another name"),
    ],
)
def test_a_label_is_found_by_its_whole_name_only(name: str, expected: str | None) -> None:
    label = ZOO.find_label(name)
    assert (label.value if label else None) == expected


def test_a_plan_finds_its_images_by_name() -> None:
    photo = ImageObject("photo", "url")
    plan = LabelPlan((ImageObject("map", "map_url"), photo), (ZOO,))
    assert plan.image("photo") is photo
    with pytest.raises(KeyError):
        plan.image("video")
