"""Expressions: true, unambiguous, and without held-out pairs where none belong."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.data.emoji_scenes import (
    CLASSES,
    KINDS,
    NO_TARGET_KINDS,
    SPLITS,
    Scene,
    SceneMeta,
    SceneObject,
    draw_scene,
    expressions,
    grammar_words,
    is_held_out,
    sample_expressions,
)
from models.data.emoji_scenes.geometry import MIN_AREA
from models.data.emoji_scenes.grammar import KIND_WEIGHTS, Expression, tells_apart_what_is_held_out
from models.data.emoji_scenes.splits import scene_rng
from models.data.emoji_scenes.vocabulary import plural
from tests.emoji_world import make_bank
from tests.models.data.emoji_scenes.reader import COLOR_WORDS, look, nouns, read

COUNT = 150


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(scene_rng("train", 3, index), make_bank(), SPLITS["train"]) for index in range(COUNT)]


def make_object(number: int, name: str, x: float, y: float = 128, full: float = 40, **changes: object) -> SceneObject:
    """An object that is seen as a square of ``full`` pixels around its centre."""
    half = round(full / 2)
    values = {
        "id": number, "name": name, "color": "red", "colors": ("red",), "style": "noto", "area": int(full**2), "center": (x, y),
        "box": (int(x) - half, int(y) - half, int(x) + half, int(y) + half), "full": full, "recolored": False, **changes,
    }  # fmt: skip
    return SceneObject(**values)


def make_meta(*objects: SceneObject) -> SceneMeta:
    return SceneMeta((256, 256), "solid", objects)


def said(meta: SceneMeta, kind: str, targets: tuple[int, ...] | None = None) -> set[str]:
    """Everything of a kind that may be said of a scene, in many wordings; held-out pairs or not."""
    found = set()
    for seed in range(40):
        for split in ("train", "compositions"):
            for one in expressions(meta, np.random.default_rng(seed), split):
                if one.kind == kind and targets in (None, one.targets):
                    found.add(one.text)
    return found


def test_a_second_reader_finds_the_same_targets(scenes):
    rng = np.random.default_rng(0)
    kinds: Counter[str] = Counter()
    for scene in scenes:
        seen = look(scene.meta, scene.ids)
        for one in expressions(scene.meta, rng, "train"):
            assert read(one.text, seen) == set(one.targets), (one, seen)
            kinds[one.kind] += 1
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 20, kinds


def test_nothing_that_is_hardly_seen_is_meant(scenes):
    for scene in scenes:
        area = {one.id: one.area for one in scene.meta.objects}
        for one in expressions(scene.meta, np.random.default_rng(0), "train"):
            assert all(area[target] >= MIN_AREA for target in one.targets)


def test_kinds_without_target_have_none_and_all_others_have(scenes):
    for scene in scenes:
        for one in expressions(scene.meta, np.random.default_rng(0), "train"):
            assert bool(one.targets) == (one.kind not in NO_TARGET_KINDS)


def test_what_is_said_to_be_absent_is_not_there(scenes):
    for scene in scenes:
        present = {one.name for one in scene.meta.objects}
        for one in expressions(scene.meta, np.random.default_rng(1), "train"):
            if one.kind == "none_absent":
                first = nouns(one.text)[0]
                assert first not in present


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "compositions"])
def test_held_out_pairs_are_never_said(scenes, split):
    for scene in scenes[:50]:
        for one in sample_expressions(scene.meta, np.random.default_rng(2), 20, split):
            assert not any(is_held_out(pair) for pair in one.pairs)


@pytest.mark.parametrize("split", ["compositions", "seen_pairs"])
def test_splits_that_ask_for_pairs_say_nothing_else(scenes, split):
    wants = SPLITS[split].wants
    found = [one for scene in scenes for one in expressions(scene.meta, np.random.default_rng(2), split)]
    assert len(found) > COUNT
    assert all(any(wants(pair) for pair in one.pairs) for one in found)


def test_pairs_name_every_colour_side_and_size_in_the_text(scenes):
    """A pair that the text joins but the expression does not list could slip into training."""
    for scene in scenes:
        for one in expressions(scene.meta, np.random.default_rng(4), "train"):
            words = [COLOR_WORDS.get(word, word) for word in one.text.split()]
            subject = nouns(one.text)[0]
            if subject not in CLASSES or one.kind in ("relation", "category") or "next" in words or " the " in one.text[4:]:
                continue
            for color in ("red", "green", "blue", "purple", "yellow", "pink"):
                assert (color in words) == (("color", color, subject) in one.pairs) or one.kind in ("multi", "multi_color"), one


def test_every_word_that_is_said_is_in_the_word_list(scenes):
    known = set(grammar_words())
    for scene in scenes:
        for one in sample_expressions(scene.meta, np.random.default_rng(5), 20, "train"):
            assert set(one.text.split()) <= known
            assert one.text == one.text.lower().strip()


def test_sampled_expressions_differ_and_some_mean_nothing(scenes):
    drawn = [sample_expressions(scene.meta, np.random.default_rng(6), 8, "train") for scene in scenes]
    assert all(len({one.text for one in each}) == len(each) == 8 for each in drawn)
    absent = np.mean([one.kind in NO_TARGET_KINDS for each in drawn for one in each])
    assert absent == pytest.approx(0.28, abs=0.05)


def test_groups_of_a_colour_can_be_said_more_often_among_those_that_mean_several(scenes):
    def drawn(weights):
        texts = [sample_expressions(scene.meta, np.random.default_rng(8), 8, "train", weights) for scene in scenes]
        kinds = [one.kind for each in texts for one in each]
        return kinds.count("multi"), kinds.count("multi_color")

    (plain, rare), (fewer, often) = drawn(KIND_WEIGHTS), drawn({**KIND_WEIGHTS, "multi_color": 5.0})
    assert often > 2 * rare > 0
    assert fewer + often == pytest.approx(plain + rare, rel=0.3)


def test_kinds_tell_whether_a_colour_joins_a_name(scenes):
    said = [one for scene in scenes for one in expressions(scene.meta, np.random.default_rng(8), "train")]
    joins = {kind: {bool(one.pairs) for one in said if one.kind == kind} for kind in ("color", "multi_color", "color_only", "multi")}
    assert joins == {"color": {True}, "multi_color": {True}, "color_only": {False}, "multi": {False}}


def test_an_expression_knows_which_classes_it_names():
    meta = make_meta(make_object(1, "dog", 40), make_object(2, "dog", 110, full=60), make_object(3, "tree", 200, color=None, colors=()))
    named = {
        one.kind: one.names for one in expressions(meta, np.random.default_rng(0), "train") if one.kind in ("name", "category", "relation")
    }
    assert named == {"name": ("tree",), "category": (), "relation": ("dog", "tree")}


def test_what_only_tells_that_unseen_pairs_are_unseen_is_known():
    color, name = next((color, name) for color in ("purple", "red", "blue") for name in CLASSES if is_held_out(("color", color, name)))
    other = next(one for one in CLASSES if one != name and not is_held_out(("color", color, one)))
    painted = make_object(1, other, 60, color=color, colors=(color,))
    plain = make_object(2, name, 180, color=None, colors=())
    naming, naming_other, naming_none = (Expression("x", "name", (2,), names=names) for names in ((name,), (other,), ()))
    assert tells_apart_what_is_held_out(naming, make_meta(painted, plain))
    assert not tells_apart_what_is_held_out(naming_other, make_meta(painted, plain))
    assert not tells_apart_what_is_held_out(naming_none, make_meta(painted, plain))
    assert not tells_apart_what_is_held_out(naming, make_meta(make_object(1, other, 60, color=None, colors=()), plain))
    itself = make_object(1, name, 60, color=color, colors=(color,))
    assert not tells_apart_what_is_held_out(naming, make_meta(itself, plain)), "a cactus is green by itself"


def test_the_same_generator_says_the_same(scenes):
    once, again = (sample_expressions(scenes[0].meta, np.random.default_rng(7), 8, "train") for _ in range(2))
    assert once == again


@pytest.mark.parametrize(("gap", "is_said"), [pytest.param(15, False, id="15 px"), pytest.param(17, True, id="17 px")])
def test_left_needs_sixteen_pixels(gap, is_said):
    meta = make_meta(make_object(1, "dog", 100, full=20), make_object(2, "dog", 100 + gap, full=20))
    assert bool({text for text in said(meta, "spatial", (1,)) if "left" in text}) == is_said


@pytest.mark.parametrize(("full", "is_said"), [pytest.param(51, False, id="1.28"), pytest.param(53, True, id="1.33")])
def test_big_needs_a_third_more(full, is_said):
    meta = make_meta(make_object(1, "dog", 60, full=40), make_object(2, "dog", 180, full=full))
    assert bool(said(meta, "size", (2,))) == is_said


def test_a_hidden_big_object_is_not_called_big():
    meta = make_meta(make_object(1, "dog", 60, full=40), make_object(2, "dog", 180, full=60, area=1700))
    assert not said(meta, "size", (2,))


def test_one_that_is_hardly_seen_still_makes_the_name_ambiguous():
    meta = make_meta(make_object(1, "dog", 60), make_object(2, "dog", 180, area=MIN_AREA - 1))
    assert not said(meta, "name")
    assert not said(meta, "multi", (1, 2))


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param("car", "taxi", id="car"), pytest.param("bird", "duck", id="bird"), pytest.param("bear", "panda", id="bear")],
)
def test_a_name_that_fits_another_object_too_is_not_said(first, second):
    assert said(make_meta(make_object(1, first, 60)), "name", (1,))
    meta = make_meta(make_object(1, first, 60), make_object(2, second, 180))
    assert not said(meta, "name", (1,))
    assert said(meta, "name", (2,))


def test_a_colour_needs_others_of_known_other_colour():
    red = make_object(1, "car", 60)
    blue = make_object(2, "car", 180, color="blue", colors=("blue",))
    assert "the red car" in said(make_meta(red, blue), "color", (1,))
    motley = make_object(2, "car", 180, color=None, colors=("blue",))
    assert not said(make_meta(red, motley), "color", (1,))
    reddish = make_object(2, "car", 180, color="blue", colors=("red", "blue"))
    assert not said(make_meta(red, reddish), "color", (1,))


def test_a_colour_like_the_present_one_is_not_called_absent():
    texts = said(make_meta(make_object(1, "car", 60)), "none_attribute")
    assert "the blue car" in texts
    assert not any(word in text.split() for text in texts for word in ("red", "orange", "pink", "brown"))


def test_a_doubtful_member_keeps_the_category_unsaid():
    dog, teddy = make_object(1, "dog", 60), make_object(2, "teddy bear", 180)
    assert "the animal" in said(make_meta(dog), "category")
    assert not {text for text in said(make_meta(dog, teddy), "category") if "animal" in text}


def test_the_bare_name_means_all_where_there_are_several_and_the_definite_one_is_not_used():
    meta = make_meta(make_object(1, "dog", 60), make_object(2, "dog", 180))
    texts = said(meta, "multi", (1, 2))
    assert {"dog", "dogs", "all dogs", "both dogs", "every dog"} <= texts
    assert "the dog" not in texts


def test_margins_grow_with_the_image():
    near = [make_object(1, "dog", 100, full=20), make_object(2, "dog", 124, full=20)]
    assert {text for text in said(SceneMeta((256, 256), "solid", tuple(near)), "spatial") if "left" in text}
    assert not {text for text in said(SceneMeta((512, 512), "solid", tuple(near)), "spatial") if "left" in text}


def test_an_unknown_split_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match="known splits"):
        sample_expressions(make_meta(make_object(1, "dog", 60)), np.random.default_rng(0), 3, "validation")


@pytest.mark.parametrize(
    ("one", "many"),
    [
        pytest.param("fox", "foxes", id="x"),
        pytest.param("butterfly", "butterflies", id="y after consonant"),
        pytest.param("key", "keys", id="y after vowel"),
        pytest.param("mouse", "mice", id="irregular"),
        pytest.param("sheep", "sheep", id="unchanged"),
        pytest.param("loaf of bread", "loaves of bread", id="several words"),
    ],
)
def test_plurals(one, many):
    assert plural(one) == many


def test_there_are_118_classes():
    assert len(CLASSES) == 118
