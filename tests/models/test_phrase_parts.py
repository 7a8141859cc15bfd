"""Which phrases name several things, and how each of them is asked for."""

from __future__ import annotations

import random

import numpy as np
import pytest

from models import parts_of
from models.data.emoji_scenes import wording
from models.data.emoji_scenes.vocabulary import CLASSES, COLORS, NO_COUNT, words_for_color
from models.data.emoji_scenes.wording import Meaning, noun, second_noun


@pytest.mark.parametrize(
    ("phrase", "parts"),
    [
        ("the dog and the cat", ["the dog", "the cat"]),
        ("house & apple", ["house", "apple"]),
        ("a dog, a cat, and a mouse", ["a dog", "a cat", "a mouse"]),
        ("the red and the blue car", ["the red car", "the blue car"]),
        ("red, green and blue cars", ["red cars", "green cars", "blue cars"]),
        ("black and white cats", ["black cats", "white cats"]),
        ("the first and the second car from the left", ["the first car from the left", "the second car from the left"]),
        ("the small dog and the big one", ["the small dog", "the big one"]),
        ("the one on the left and the one on the right", ["the one on the left", "the one on the right"]),
        ("the car that is red and the car that is blue", ["the car that is red", "the car that is blue"]),
        ("the dog on the left and the cat on the right", ["the dog on the left", "the cat on the right"]),
        ("the dog and the cat on the left", ["the dog", "the cat on the left"]),
        ("a loaf of bread and a glass of water", ["a loaf of bread", "a glass of water"]),
        ("The Red And The Blue Car", ["The Red Car", "The Blue Car"]),
        ("  the dog   and\tthe cat ", ["the dog", "the cat"]),
    ],
)
def test_each_thing_gets_a_phrase_of_its_own(phrase: str, parts: list[str]) -> None:
    assert parts_of(phrase) == tuple(parts)


@pytest.mark.parametrize(
    ("phrase", "parts"),
    [
        ("all dogs and cats", ["all dogs", "all cats"]),
        ("all red and blue cars", ["all red cars", "all blue cars"]),
        ("the dog and cat", ["the dog", "the cat"]),
        ("two dogs and three cats", ["two dogs", "three cats"]),
        ("a dog and cat", ["a dog", "cat"]),
        ("both the dog and the cat", ["the dog", "the cat"]),
    ],
)
def test_what_is_said_of_all_is_said_of_each(phrase: str, parts: list[str]) -> None:
    assert parts_of(phrase) == tuple(parts)


@pytest.mark.parametrize(
    "phrase",
    [
        "the black and white cat",
        "a red and blue car",
        "the big and red dog",
        "the dog that is big and red",
        "the man standing and waving",
        "the man with a hat and glasses",
        "the woman in black and white",
        "the dog between the cat and the tree",
        "the dog next to the tree and the bird",
        "the dog left of the tree and the bird",
        "the dogs and cats on the left",
        "the dog on the left and right",
    ],
)
def test_a_phrase_that_may_name_one_thing_stays_whole(phrase: str) -> None:
    assert parts_of(phrase) == (phrase,)


@pytest.mark.parametrize(
    "phrase",
    [
        "",
        " ",
        "and",
        "and and and",
        "dog and",
        "and dog",
        "the and the",
        "red and blue",
        "dog, left",
        "the dog and the",
        "Sandra, Andy",
        ", and ,",
    ],
)
def test_what_is_no_list_of_things_is_left_as_it_is(phrase: str) -> None:
    assert parts_of(phrase) == (phrase,)


@pytest.mark.parametrize(
    ("phrase", "parts"),
    [
        ("the orange and the lemon", ["the orange", "the lemon"]),
        ("the lemon and the orange", ["the lemon", "the orange"]),
        ("the orange and the blue car", ["the orange car", "the blue car"]),
        ("the blue and the orange orange", ["the blue orange", "the orange orange"]),
    ],
)
def test_a_colour_that_is_a_fruit_is_what_stands_beside_it(phrase: str, parts: list[str]) -> None:
    assert parts_of(phrase) == tuple(parts)


def test_a_list_that_is_too_long_stays_whole() -> None:
    assert len(parts_of(" and ".join(["dog"] * 8))) == 8
    too_many = " and ".join(["dog"] * 9)
    assert parts_of(too_many) == (too_many,)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (" " * 200_000, 1),
        ("and " * 50_000, 1),
        (", " * 100_000 + "and x", 1),
        (" , and" * 40_000, 1),
        ("the red " * 50_000 + "and the cat", 2),
    ],
    ids=["spaces", "and", "commas", "commas and and", "a long thing"],
)
def test_a_hostile_text_is_answered_at_once(text: str, parts: int) -> None:
    assert len(parts_of(text)) == parts  # were time to grow with the square of the length, the suite's limit would end this


def test_the_parts_of_any_list_are_of_its_words_and_name_one_thing_each() -> None:
    words = ["the", "all", "a", "red", "big", "left", "dog", "cats", "orange", "on", "with", "of", "and", "and", ",", "men", "one", "both"]
    rng = random.Random(0)
    split = 0
    for _ in range(20_000):
        phrase = " ".join(rng.choices(words, k=rng.randint(1, 9)))
        parts = parts_of(phrase)
        split += len(parts) > 1
        if len(parts) > 1:
            assert {word for part in parts for word in part.split()} <= set(phrase.replace(",", " ").split()), phrase
            assert all(parts_of(part) == (part,) for part in parts), phrase
    assert split > 500


def test_every_list_of_the_grammar_is_taken_apart_into_wordings_of_the_grammar() -> None:
    """All that the shipped model was taught to say of two things at once it is asked as two."""
    rng = np.random.default_rng(0)
    names = [name for name in CLASSES if name not in NO_COUNT]
    of_names = (*wording.JOIN_TEMPLATES, *wording.JOIN_MULTI_TEMPLATES)
    for templates, colored in ((of_names, False), (wording.JOIN_COLOR_TEMPLATES, True)):
        for first, second in zip(names, [*names[1:], names[0]], strict=True):
            slots = {**noun(first), **second_noun(second)}
            if colored:
                red, blue = rng.choice(len(COLORS), 2, replace=False)
                slots |= {"c": words_for_color(COLORS[red]), "c2": words_for_color(COLORS[blue])}
            for template in templates:
                phrase = Meaning("multi", (1, 2), (template,), slots).say(rng)
                parts = parts_of(phrase)
                assert len(parts) == 2, phrase
                ways = [slots["n"] + slots["ns"], (slots["n"] + slots["ns"]) if colored else slots["m"] + slots["ms"]]
                for part, nouns in zip(parts, ways, strict=True):
                    assert part.endswith(nouns), (phrase, part)


def test_nothing_else_of_the_grammar_is_taken_apart() -> None:
    rng = np.random.default_rng(0)
    single = [*wording.NAME_TEMPLATES, *wording.COLOR_TEMPLATES, *wording.SIZE_TEMPLATES, *wording.COLOR_MULTI_TEMPLATES]
    single += [template for each in (wording.SIDE_TEMPLATES, wording.RELATION_TEMPLATES) for way in each.values() for template in way]
    for name in CLASSES:
        slots = {**noun(name), **second_noun("tree"), "c": words_for_color("red"), "s": ("big",)}
        for template in single:
            phrase = Meaning("name", (1,), (template,), slots).say(rng)
            assert parts_of(phrase) == (phrase,), phrase
