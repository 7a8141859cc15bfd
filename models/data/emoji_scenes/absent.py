"""What can be said that nothing in the scene answers to: classes that are not there, colours that what is there does not have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.data.emoji_scenes import wording
from models.data.emoji_scenes.geometry import SIDES, SceneView, has_nothing_like
from models.data.emoji_scenes.vocabulary import (
    CATEGORIES,
    CLASSES,
    COLORS,
    MAYBE_IN_CATEGORY,
    NO_COUNT,
    RECOLORABLE,
    category_plural,
    may_be_called,
    words_for_color,
)
from models.data.emoji_scenes.wording import Meaning, noun, second_noun

_ABSENT_CLASSES = 5
"""Absent classes that one look at a scene yields: most of the world is absent."""


def none_absent_meanings(view: SceneView, rng: np.random.Generator) -> Iterator[Meaning]:
    """ "the zebra", "the red zebra on the left", "all vehicles", where there are none."""
    absent = [name for name in CLASSES if not any(_alike(name, seen) for seen in view.by_class)]
    count = min(_ABSENT_CLASSES, len(absent))
    for index in rng.choice(len(absent), size=count, replace=False):
        name = absent[int(index)]
        templates = wording.UNCOUNTED_NAME_TEMPLATES if name in NO_COUNT else wording.NAME_TEMPLATES
        plain = Meaning("none_absent", (), templates, noun(name), weight=2.0)
        yield plain
        yield from _absent_details(rng, view, name)
    for category, members in CATEGORIES.items():
        possible = members | MAYBE_IN_CATEGORY[category]
        if not any(item.name in possible for item in view.objects):
            slots = {"n": (category,), "ns": (category_plural(category),)}
            yield Meaning("none_absent", (), wording.UNCOUNTED_CATEGORY_MULTI_TEMPLATES, slots, weight=0.3)


def none_attribute_meanings(view: SceneView, rng: np.random.Generator) -> Iterator[Meaning]:
    """ "the blue car", where cars are there but none is blue or nearly so; "the purple object", where nothing is."""
    del rng
    for name, group in view.clear_groups(1).items():
        for color in COLORS if name in RECOLORABLE else ():
            if all(has_nothing_like(item, color) for item in group):
                slots = {**noun(name), "c": words_for_color(color)}
                several = wording.UNCOUNTED_COLOR_MULTI_TEMPLATES if len(group) > 1 else ()
                templates = (*wording.COLOR_TEMPLATES, *several)
                yield Meaning("none_attribute", (), templates, slots, (("color", color, name),))
    for color in COLORS:
        if all(has_nothing_like(item, color) for item in view.objects):
            slots = {"c": words_for_color(color)}
            yield Meaning("none_attribute", (), wording.COLOR_ONLY_TEMPLATES, slots, weight=0.3)


def _absent_details(rng: np.random.Generator, view: SceneView, name: str) -> Iterator[Meaning]:
    """An absent class with something said about it, worded like what is said about present ones."""
    side = list(SIDES)[int(rng.integers(4))]
    size = ("big", "small")[int(rng.integers(2))]
    on_side = Meaning("none_absent", (), wording.SIDE_TEMPLATES[side], noun(name), (("side", side, name),), 0.7)
    yield on_side
    sizes = (*wording.COMPARATIVES[size], *wording.SUPERLATIVES[size])
    yield Meaning("none_absent", (), wording.SIZE_TEMPLATES, {**noun(name), "s": sizes}, (("size", size, name),), 0.5)
    multi = wording.UNCOUNTED_MULTI_TEMPLATES if name in NO_COUNT else (*wording.MULTI_TEMPLATES, *wording.EVERY_TEMPLATES)
    yield Meaning("none_absent", (), multi, noun(name), weight=0.8)
    ordinal = wording.ORDINAL_WORDS[int(rng.integers(len(wording.ORDINAL_WORDS)))]
    slots = {**noun(name), "o": ordinal, "side": (side,)}
    yield Meaning("none_absent", (), wording.ORDINAL_TEMPLATES, slots, (("side", side, name),), 0.25)
    if name in RECOLORABLE:
        color = COLORS[int(rng.integers(7))]
        slots = {**noun(name), "c": words_for_color(color)}
        yield Meaning("none_absent", (), wording.COLOR_TEMPLATES, slots, (("color", color, name),), 0.8)
        yield on_side.with_adjective("c", words_for_color(color), ("color", color, name), 0.2)
    landmarks = [group[0].name for group in view.clear_groups(1, 1).values()]
    if landmarks:
        relation = list(wording.RELATION_TEMPLATES)[int(rng.integers(len(wording.RELATION_TEMPLATES)))]
        slots = {**noun(name), **second_noun(landmarks[int(rng.integers(len(landmarks)))])}
        yield Meaning("none_absent", (), wording.RELATION_TEMPLATES[relation], slots, weight=0.4)


def _alike(name: str, seen: str) -> bool:
    return may_be_called(name, seen) or may_be_called(seen, name)
