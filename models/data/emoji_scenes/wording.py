"""The sentences of the grammar: templates, and how a meaning becomes words.

``{n}`` is a noun, ``{ns}`` its plural, ``{m}`` a second noun, ``{c}`` a colour, ``{s}`` a size, ``{o}`` an ordinal;
``(the)`` may be left out.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from models.data.emoji_scenes.splits import Pair
from models.data.emoji_scenes.vocabulary import (
    CATEGORIES,
    CLASSES,
    COLORS,
    category_plural,
    plural,
    ways_to_say,
    words_for_color,
)

SIDE_TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "left": (
            "(the) {n} on the left",
            "(the) {n} on the left",
            "(the) left {n}",
            "(the) leftmost {n}",
            "(the) {n} to the left",
            "(the) {n} on the far left",
            "(the) {n} on the left side",
        ),
        "right": (
            "(the) {n} on the right",
            "(the) {n} on the right",
            "(the) right {n}",
            "(the) rightmost {n}",
            "(the) {n} to the right",
            "(the) {n} on the far right",
            "(the) {n} on the right side",
        ),
        "top": ("(the) {n} at the top", "(the) {n} on top", "(the) top {n}", "(the) topmost {n}", "(the) upper {n}", "(the) highest {n}"),
        "bottom": ("(the) {n} at the bottom", "(the) {n} on the bottom", "(the) bottom {n}", "(the) lower {n}", "(the) lowest {n}"),
    }
)
CORNER_TEMPLATES = ("(the) {v} {h} {n}", "(the) {n} in the {v} {h}", "(the) {n} in the {v} {h} corner", "(the) {n} at the {v} {h}")
VERTICAL_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType({"top": ("top", "upper"), "bottom": ("bottom", "lower")})
MIDDLE_TEMPLATES = ("(the) middle {n}", "(the) {n} in the middle", "(the) center {n}", "(the) {n} in the center", "(the) {n} in the centre")

SIZE_TEMPLATES = ("(the) {s} {n}",)
COMPARATIVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "big": ("big", "bigger", "large", "larger"),
        "small": ("small", "smaller", "little"),
    }
)
SUPERLATIVES: Mapping[str, tuple[str, ...]] = MappingProxyType({"big": ("biggest", "largest"), "small": ("smallest",)})
PLAIN_SIZES: Mapping[str, tuple[str, ...]] = MappingProxyType({"big": ("big", "large"), "small": ("small", "little")})

ORDINAL_TEMPLATES = ("(the) {o} {n} from the {side}", "(the) {o} {n} from {side}", "(the) {n} {o} from the {side}")
ORDINAL_WORDS: tuple[tuple[str, ...], ...] = (("first", "1st"), ("second", "2nd"), ("third", "3rd"), ("fourth", "4th"))

RELATION_TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "left": ("(the) {n} left of the {m}", "(the) {n} to the left of the {m}", "(the) {n} on the left of the {m}"),
        "right": ("(the) {n} right of the {m}", "(the) {n} to the right of the {m}", "(the) {n} on the right of the {m}"),
        "top": ("(the) {n} above the {m}", "(the) {n} over the {m}"),
        "bottom": ("(the) {n} below the {m}", "(the) {n} under the {m}", "(the) {n} beneath the {m}"),
        "near": (
            "(the) {n} next to the {m}",
            "(the) {n} near the {m}",
            "(the) {n} beside the {m}",
            "(the) {n} by the {m}",
            "(the) {n} close to the {m}",
        ),
        "nearest": ("(the) {n} closest to the {m}", "(the) {n} nearest to the {m}"),
        "farthest": ("(the) {n} farthest from the {m}", "(the) {n} furthest from the {m}", "(the) {n} far from the {m}"),
    }
)

NAME_TEMPLATES = ("{n}", "{n}", "the {n}", "the {n}", "a {n}")
UNCOUNTED_NAME_TEMPLATES = ("{n}", "the {n}")
COLOR_TEMPLATES = ("(the) {c} {n}", "(the) {c} {n}", "(the) {c} {n}", "the {n} that is {c}")
UNCOUNTED_COLOR_TEMPLATES = ("(the) {c} {n}",)
COLOR_ONLY_TEMPLATES = ("(the) {c} object", "the {c} thing", "the {c} one")
MULTI_TEMPLATES = ("all {ns}", "all the {ns}", "the {ns}", "{ns}", "{n}")
"""The bare noun means everyone of that name: a label such as "dog" is pre-annotated that way."""
UNCOUNTED_MULTI_TEMPLATES = ("all {ns}", "all the {ns}", "the {ns}", "{ns}")
EVERY_TEMPLATES = ("every {n}", "each {n}")
COUNT_TEMPLATES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        2: ("both {ns}", "the two {ns}", "two {ns}"),
        3: ("the three {ns}", "all three {ns}", "three {ns}"),
    }
)
COLOR_MULTI_TEMPLATES = ("all {c} {ns}", "all the {c} {ns}", "the {c} {ns}", "{c} {ns}", "every {c} {n}")
UNCOUNTED_COLOR_MULTI_TEMPLATES = ("all {c} {ns}", "the {c} {ns}", "{c} {ns}")
JOIN_TEMPLATES = ("{n} and {m}", "the {n} and the {m}")
JOIN_MULTI_TEMPLATES = ("all {ns} and {ms}", "{ns} and {ms}", "the {ns} and the {ms}")
JOIN_COLOR_TEMPLATES = ("the {c} {n} and the {c2} {n}", "{c} and {c2} {ns}", "the {c} and the {c2} {n}")
EVERYTHING_TEMPLATES = ("everything", "all objects", "every object", "all things")
CATEGORY_TEMPLATES = ("(the) {n}",)
CATEGORY_MULTI_TEMPLATES = ("all {ns}", "all the {ns}", "the {ns}", "{ns}", "every {n}")
UNCOUNTED_CATEGORY_MULTI_TEMPLATES = ("all {ns}", "all the {ns}", "the {ns}", "{ns}")

_ALL_TEMPLATES: tuple[str, ...] = (
    *(t for templates in (SIDE_TEMPLATES, RELATION_TEMPLATES) for each in templates.values() for t in each),
    *(t for each in COUNT_TEMPLATES.values() for t in each),
    *CORNER_TEMPLATES, *MIDDLE_TEMPLATES, *SIZE_TEMPLATES, *ORDINAL_TEMPLATES, *NAME_TEMPLATES, *COLOR_TEMPLATES,
    *COLOR_ONLY_TEMPLATES, *MULTI_TEMPLATES, *EVERY_TEMPLATES, *COLOR_MULTI_TEMPLATES, *JOIN_TEMPLATES, *JOIN_MULTI_TEMPLATES,
    *JOIN_COLOR_TEMPLATES, *EVERYTHING_TEMPLATES, *CATEGORY_TEMPLATES, *CATEGORY_MULTI_TEMPLATES,
)  # fmt: skip


_CLASS_OF = {ways_to_say(name): name for name in CLASSES}


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that can be said about a scene, with all the ways to say it."""

    kind: str
    targets: tuple[int, ...]
    """Ids of the objects that are meant; empty when nothing in the scene is."""
    templates: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Slot -> the words that may fill it, the usual one first."""
    pairs: tuple[Pair, ...] = ()
    """Attribute and class pairs that it joins."""
    weight: float = 1.0
    """How often it is drawn among meanings of its kind."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that it names, as nouns of its own."""
        return tuple(_CLASS_OF[ways] for ways in self.slots.values() if ways in _CLASS_OF)

    def say(self, rng: np.random.Generator) -> str:
        """One wording, lower case."""
        template = self.templates[int(rng.integers(len(self.templates)))]
        template = template.replace("(the)", "the" if rng.random() < 0.5 else "").strip()
        words = {slot: _choose(rng, ways) for slot, ways in self.slots.items()}
        return _fix_article(template.format(**words))

    def with_adjective(self, slot: str, ways: tuple[str, ...], pair: Pair, weight: float, *, before: str = "{n}") -> Meaning:
        """The same with an adjective before the noun (or before another adjective), e.g. "big car on the left"."""
        templates = tuple(template.replace(before, "{" + slot + "} " + before) for template in self.templates)
        return replace(self, templates=templates, slots={**self.slots, slot: ways}, pairs=(*self.pairs, pair), weight=weight)


def noun(name: str) -> dict[str, tuple[str, ...]]:
    """Slots ``n`` and ``ns`` for a class."""
    ways = ways_to_say(name)
    return {"n": ways, "ns": tuple(plural(way) for way in ways)}


def second_noun(name: str) -> dict[str, tuple[str, ...]]:
    """Slots ``m`` and ``ms`` for a class."""
    ways = ways_to_say(name)
    return {"m": ways, "ms": tuple(plural(way) for way in ways)}


def grammar_words() -> tuple[str, ...]:
    """Every word that an expression can contain, sorted."""
    texts = [*_template_words(), "an", *SIDE_TEMPLATES]
    for name in CLASSES:
        texts += [word for ways in noun(name).values() for word in ways]
    for color in COLORS:
        texts += words_for_color(color)
    for category in CATEGORIES:
        texts += [category, category_plural(category)]
    for table in (COMPARATIVES, SUPERLATIVES, PLAIN_SIZES, VERTICAL_WORDS):
        texts += [word for ways in table.values() for word in ways]
    texts += [word for ways in ORDINAL_WORDS for word in ways]
    return tuple(sorted({word for text in texts for word in text.split()}))


def _template_words() -> list[str]:
    literals = [literal for template in _ALL_TEMPLATES for literal, *_ in string.Formatter().parse(template)]
    return [literal.replace("(", "").replace(")", "") for literal in literals]


def _choose(rng: np.random.Generator, ways: tuple[str, ...]) -> str:
    """The usual word in two cases of three."""
    if len(ways) == 1 or rng.random() < 0.67:
        return ways[0]
    return ways[int(rng.integers(1, len(ways)))]


def _fix_article(text: str) -> str:
    return "an" + text[1:] if text.startswith("a ") and text[2] in "aeiou" else text
