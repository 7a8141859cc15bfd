"""A second opinion on expressions: reads the text word by word and works out, from the id map alone, which objects it means.

It shares no code with the grammar beyond the vocabulary. Where the grammar asks for margins, this reader asks for them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.data.emoji_scenes import CATEGORIES, CLASSES, COLORS, SceneMeta, ways_to_say
from models.data.emoji_scenes.vocabulary import category_plural, plural, words_for_color

NOUNS: dict[str, str] = {
    **{form: name for name in CLASSES for way in ways_to_say(name) for form in (way, plural(way))},
    **{form: f"category {name}" for name in CATEGORIES for form in (name, category_plural(name))},
    **dict.fromkeys(("object", "objects", "thing", "things", "one", "everything"), "anything"),
}
COLOR_WORDS = {word: color for color in COLORS for word in words_for_color(color)}
SIDE_WORDS = {
    "left": "left", "leftmost": "left", "right": "right", "rightmost": "right", "top": "top", "topmost": "top", "upper": "top",
    "highest": "top", "bottom": "bottom", "lower": "bottom", "lowest": "bottom",
}  # fmt: skip
SIZE_WORDS = {
    **dict.fromkeys(("big", "bigger", "biggest", "large", "larger", "largest"), 1),
    **dict.fromkeys(("small", "smaller", "smallest", "little"), -1),
}
ORDER_WORDS = {"first": 0, "1st": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3}
RELATIONS = {
    "left of": "left", "right of": "right", "above": "top", "over": "top", "below": "bottom", "under": "bottom", "beneath": "bottom",
    "next to": "near", "near": "near", "beside": "near", "by": "near", "close to": "near", "closest to": "near", "nearest to": "near",
    "farthest from": "far", "furthest from": "far", "far from": "far",
}  # fmt: skip
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}


@dataclass(frozen=True)
class Seen:
    """An object as the id map shows it."""

    id: int
    name: str
    color: str | None
    xy: np.ndarray
    area: int
    full: float


def look(meta: SceneMeta, ids: np.ndarray) -> list[Seen]:
    """Places and areas measured on the id map; classes, colours and unhidden sizes as drawn."""
    found = []
    for one in meta.objects:
        rows, columns = np.nonzero(ids == one.id)
        found.append(Seen(one.id, one.name, one.color, np.array([columns.mean(), rows.mean()]), len(rows), one.full))
    return found


def read(text: str, seen: list[Seen]) -> set[int]:
    """Ids that the text means; raises ``AssertionError`` where a margin is missing."""
    for words, relation in RELATIONS.items():
        head, found, landmark = f" {text} ".partition(f" {words} the ")
        # "to the left of the tree", "on the left of the tree"
        if found and nouns(landmark):
            return related(relation, pick(nouns(head)[0], None, seen), pick(nouns(landmark)[0], None, seen))
    parts = text.split(" and ")
    if len(parts) == 2:
        return joined(parts, seen)
    return phrase(text, seen)


def phrase(text: str, seen: list[Seen]) -> set[int]:
    """What one noun with its adjectives means."""
    (noun,) = nouns(text)
    words = text.split()
    group = pick(noun, color_of(text, noun), seen)
    numbers = [ORDER_WORDS[word] for word in words if word in ORDER_WORDS]
    sides = [SIDE_WORDS[word] for word in words if word in SIDE_WORDS]
    sizes = [SIZE_WORDS[word] for word in words if word in SIZE_WORDS]
    if not group:
        return set()
    if numbers:
        return {in_order(group, sides[0])[numbers[0]].id}
    if {"middle", "center", "centre"} & set(words):
        return {middle(group).id}
    chosen = [in_order(group, side, only_first=True)[0].id for side in sides] + [extreme(group, size).id for size in sizes]
    if chosen:
        assert len(set(chosen)) == 1, f"{text!r}: side and size disagree"
        return set(chosen)
    return {one.id for one in group}


def joined(parts: list[str], seen: list[Seen]) -> set[int]:
    """Two phrases, or one noun with two colours."""
    noun = nouns(parts[1])[0]
    colors = [COLOR_WORDS.get(parts[0].split()[-1]), color_of(parts[1], noun)]
    if all(colors) and (nouns(parts[0]) in ([], ["orange"])):
        return {one.id for color in colors for one in pick(noun, color, seen)}
    return phrase(parts[0], seen) | phrase(parts[1], seen)


def nouns(text: str) -> list[str]:
    """Nouns in a text, longest names first; a colour word before a noun is none."""
    words, found, place = text.split(), [], 0
    while place < len(words):
        for length in (3, 2, 1):
            form = " ".join(words[place : place + length])
            follows = words[place + length] if place + length < len(words) else ""
            is_color = form in COLOR_WORDS and (follows in {w for n in NOUNS for w in [n.split()[0]]} or words[place - 1] == "is")
            if form in NOUNS and len(form.split()) == length and not is_color:
                found.append(NOUNS[form])
                place += length - 1
                break
        place += 1
    return found


def color_of(text: str, noun: str) -> str | None:
    """The colour that a text names besides its noun."""
    colors = [COLOR_WORDS[word] for word in text.split() if word in COLOR_WORDS]
    if noun == "orange" and colors.count("orange") == 1 and "oranges" not in text:
        colors.remove("orange")
    return colors[0] if colors else None


def pick(noun: str, color: str | None, seen: list[Seen]) -> list[Seen]:
    """Objects of a class, category or any, of a colour or any."""
    kind, _, category = noun.partition(" ")
    if kind == "category" and category in CATEGORIES:
        named = [one for one in seen if one.name in CATEGORIES[category]]
    else:
        named = [one for one in seen if noun in ("anything", one.name)]
    return [one for one in named if color in (None, one.color)]


def in_order(group: list[Seen], side: str, only_first: bool = False) -> list[Seen]:
    """Counted from a side, at least 16 pixels apart."""
    axis, sign = DIRECTIONS[side]
    order = sorted(group, key=lambda one: -sign * one.xy[axis])
    for near, far in zip(order, order[1:2] if only_first else order[1:], strict=False):
        assert sign * (near.xy[axis] - far.xy[axis]) >= 15.9, f"{near} and {far} are level"
    return order


def extreme(group: list[Seen], size: int) -> Seen:
    """The biggest (1) or smallest (-1), by a factor of 1.3."""
    order = sorted(group, key=lambda one: -size * one.full)
    for first, second in pairwise(order[:2]):
        assert (first.full / second.full) ** size >= 1.3 - 1e-3, f"{first} and {second} are alike"
    return order[0]


def middle(group: list[Seen]) -> Seen:
    """Of three, the one between the two others along the longer way."""
    assert len(group) == 3
    places = np.array([one.xy for one in group])
    axis = int(np.argmax(np.ptp(places, axis=0)))
    return in_order(group, ("left", "top")[axis])[1]


def related(relation: str, group: list[Seen], landmarks: list[Seen]) -> set[int]:
    """The one of a group that lies on a side of the landmark, near it or far from it."""
    if not group:
        return set()
    assert len(group) > 1, "one alone needs no landmark"
    (landmark,) = landmarks
    if relation in DIRECTIONS:
        axis, sign = DIRECTIONS[relation]
        beyond = [one for one in group if sign * (one.xy[axis] - landmark.xy[axis]) > 0]
        assert len(beyond) == 1, "two lie there"
        along, across = np.abs(beyond[0].xy - landmark.xy)[[axis, 1 - axis]]
        assert along >= max(19.9, across - 0.1), "not plainly on that side"
        return {beyond[0].id}
    sign = 1 if relation == "near" else -1
    order = sorted(group, key=lambda one: sign * np.hypot(*(one.xy - landmark.xy)))
    first, second = (np.hypot(*(one.xy - landmark.xy)) for one in order[:2])
    assert (second / first) ** sign >= 1.29, "two are about as far"
    return {order[0].id}
