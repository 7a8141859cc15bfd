"""Everything that may be said about what is in a scene, kind by kind. A meaning appears only if it is unambiguous."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from models.data.emoji_scenes import wording
from models.data.emoji_scenes.geometry import SIDES, SIZE_RATIO, SceneView, clearly_lacks, distance, gap
from models.data.emoji_scenes.meta import SceneObject
from models.data.emoji_scenes.vocabulary import (
    CATEGORIES,
    MAYBE_IN_CATEGORY,
    NO_COUNT,
    category_plural,
    words_for_color,
)
from models.data.emoji_scenes.wording import Meaning, noun, second_noun

Meanings = Iterator[Meaning]


def name_meanings(view: SceneView) -> Meanings:
    """ "the dog", where there is one."""
    for name, (item,) in view.clear_groups(1, 1).items():
        if view.can_be_meant(item):
            templates = wording.UNCOUNTED_NAME_TEMPLATES if name in NO_COUNT else wording.NAME_TEMPLATES
            yield Meaning("name", (item.id,), templates, noun(name))


def name_color_meanings(view: SceneView) -> Meanings:
    """ "the red car", where there is one car and it is red."""
    for (item,) in view.clear_groups(1, 1).values():
        if view.can_be_meant(item) and item.color:
            yield _colored("name_color", item, item.color)


def color_meanings(view: SceneView) -> Meanings:
    """ "the red car" among cars; "the red object" among all."""
    for group in view.clear_groups(2).values():
        for item in group:
            if item.color and view.can_be_meant(item) and all(clearly_lacks(o, item.color) for o in group if o is not item):
                yield _colored("color", item, item.color)
    for item in view.objects:
        others = [o for o in view.objects if o is not item]
        if item.color and others and view.can_be_meant(item) and all(clearly_lacks(o, item.color) for o in others):
            slots = {"c": words_for_color(item.color)}
            yield Meaning("color_only", (item.id,), wording.COLOR_ONLY_TEMPLATES, slots, weight=0.25)


def size_meanings(view: SceneView) -> Meanings:
    """ "the big dog", "the smallest red car", "the biggest object"."""
    for name, group in view.clear_groups(2).items():
        yield from _sizes(view, name, group)
        for color, colored in _colored_subgroups(group).items():
            for meaning in _sizes(view, name, colored):
                yield meaning.with_adjective("c", words_for_color(color), ("color", color, name), 0.3)
    for size in ("big", "small"):
        if len(view.objects) > 2 and (item := view.by_size(view.objects, size, 1.4)):
            slots = {"s": wording.SUPERLATIVES[size], "n": ("object", "thing")}
            yield Meaning("size", (item.id,), wording.SIZE_TEMPLATES, slots, weight=0.25)


def spatial_meanings(view: SceneView) -> Meanings:
    """ "the dog on the left", "top left dog", "the dog in the middle", "the red dog on the left", "the leftmost object"."""
    for name, group in view.clear_groups(2).items():
        yield from _sides(view, name, group)
        yield from _corners(view, name, group)
        if item := view.middle(group):
            yield Meaning("spatial", (item.id,), wording.MIDDLE_TEMPLATES, noun(name))
        yield from _described_sides(view, name, group)
    if len(view.objects) > 2:
        for side in SIDES:
            if item := view.outermost(view.objects, side):
                slots = {"n": ("object", "thing")}
                yield Meaning("spatial", (item.id,), wording.SIDE_TEMPLATES[side], slots, weight=0.2)


def ordinal_meanings(view: SceneView) -> Meanings:
    """ "the second dog from the left", counted among three or more."""
    for name, group in view.clear_groups(3).items():
        for side in SIDES:
            order = view.in_order(group, side)
            for place, item in enumerate(order[: len(wording.ORDINAL_WORDS)] if order else ()):
                if view.can_be_meant(item):
                    slots = {**noun(name), "o": wording.ORDINAL_WORDS[place], "side": (side,)}
                    weight = 0.4 if place == 0 else 1.0
                    yield Meaning("ordinal", (item.id,), wording.ORDINAL_TEMPLATES, slots, (("side", side, name),), weight)


def relation_meanings(view: SceneView) -> Meanings:
    """ "the dog left of the tree", where there are several dogs and one tree."""
    landmarks = [group[0] for group in view.clear_groups(1, 1).values() if view.can_be_meant(group[0])]
    for name, group in view.clear_groups(2).items():
        for landmark in landmarks:
            slots = {**noun(name), **second_noun(landmark.name)}
            for relation, item in _related(view, group, landmark):
                yield Meaning("relation", (item.id,), wording.RELATION_TEMPLATES[relation], slots)


def multi_meanings(view: SceneView) -> Meanings:
    """ "all dogs", "both red cars", "the dog and the cat", "everything"."""
    for name, group in view.clear_groups(1).items():
        if not view.can_be_meant(*group):
            continue
        yield Meaning("multi", _ids(group), _multi_templates(name, len(group)), noun(name), weight=1.5 if len(group) > 1 else 0.1)
        for color, colored in _colored_subgroups(group).items():
            templates = wording.UNCOUNTED_COLOR_MULTI_TEMPLATES if name in NO_COUNT else wording.COLOR_MULTI_TEMPLATES
            slots = {**noun(name), "c": words_for_color(color)}
            yield Meaning("multi_color", _ids(colored), templates, slots, (("color", color, name),))
    yield from _joined(view)
    if len(view.objects) > 1 and view.can_be_meant(*view.objects):
        yield Meaning("multi", _ids(view.objects), wording.EVERYTHING_TEMPLATES, weight=0.15)


def category_meanings(view: SceneView) -> Meanings:
    """ "all animals"; "the animal", where there is one."""
    for category, members in CATEGORIES.items():
        found = [item for item in view.objects if item.name in members]
        doubtful = any(item.name in MAYBE_IN_CATEGORY[category] for item in view.objects)
        if not found or doubtful or not view.can_be_meant(*found):
            continue
        slots = {"n": (category,), "ns": (category_plural(category),)}
        templates: tuple[str, ...] = wording.CATEGORY_MULTI_TEMPLATES
        if category == "food":
            templates = wording.UNCOUNTED_CATEGORY_MULTI_TEMPLATES
        elif len(found) == 1:
            templates = wording.CATEGORY_TEMPLATES
        yield Meaning("category", _ids(found), templates, slots, weight=0.4 if len(found) == 1 else 1.0)


def _ids(items: list[SceneObject] | tuple[SceneObject, ...]) -> tuple[int, ...]:
    return tuple(item.id for item in items)


def _colored(kind: str, item: SceneObject, color: str) -> Meaning:
    slots = {**noun(item.name), "c": words_for_color(color)}
    templates = wording.UNCOUNTED_COLOR_TEMPLATES if item.name in NO_COUNT else wording.COLOR_TEMPLATES
    return Meaning(kind, (item.id,), templates, slots, (("color", color, item.name),))


def _colored_subgroups(group: list[SceneObject]) -> dict[str, list[SceneObject]]:
    """Colour -> the two or more of the group that have it, where all others clearly lack it."""
    found: dict[str, list[SceneObject]] = {}
    for color in {item.color for item in group if item.color}:
        colored = [item for item in group if item.color == color]
        if len(colored) > 1 and all(clearly_lacks(item, color) for item in group if item.color != color):
            found[color] = colored
    return dict(sorted(found.items()))


def _sizes(view: SceneView, name: str, group: list[SceneObject]) -> Meanings:
    for size in ("big", "small"):
        item = view.by_size(group, size)
        if item is None:
            continue
        words = wording.SUPERLATIVES[size]
        if len(group) == 2:
            words = (*wording.COMPARATIVES[size], *words)
        elif view.by_size(group, size, SIZE_RATIO * 1.25):
            words = (*words, *wording.PLAIN_SIZES[size])
        yield Meaning("size", (item.id,), wording.SIZE_TEMPLATES, {**noun(name), "s": words}, (("size", size, name),))


def _sides(view: SceneView, name: str, group: list[SceneObject]) -> Meanings:
    for side in SIDES:
        if item := view.outermost(group, side):
            yield Meaning("spatial", (item.id,), wording.SIDE_TEMPLATES[side], noun(name), (("side", side, name),))


def _described_sides(view: SceneView, name: str, group: list[SceneObject]) -> Meanings:
    """Sides among those of one colour, and sides of one that is the biggest or smallest as well."""
    for color, colored in _colored_subgroups(group).items():
        for meaning in _sides(view, name, colored):
            yield meaning.with_adjective("c", words_for_color(color), ("color", color, name), 0.3)
    for size in ("big", "small"):
        item = view.by_size(group, size)
        for meaning in _sides(view, name, group):
            if item is None or meaning.targets != (item.id,):
                continue
            sized = (wording.PLAIN_SIZES[size], ("size", size, name))
            yield meaning.with_adjective("s", *sized, 0.3)
            if item.color:
                colored_too = meaning.with_adjective("c", words_for_color(item.color), ("color", item.color, name), 0.15)
                yield colored_too.with_adjective("s", *sized, 0.15, before="{c}")


def _corners(view: SceneView, name: str, group: list[SceneObject]) -> Meanings:
    for vertical in ("top", "bottom"):
        for horizontal in ("left", "right"):
            item = view.outermost(group, vertical)
            if item is not None and item is view.outermost(group, horizontal):
                slots = {**noun(name), "v": wording.VERTICAL_WORDS[vertical], "h": (horizontal,)}
                pairs = (("side", vertical, name), ("side", horizontal, name))
                yield Meaning("spatial", (item.id,), wording.CORNER_TEMPLATES, slots, pairs, 0.5)


def _related(view: SceneView, group: list[SceneObject], landmark: SceneObject) -> Iterator[tuple[str, SceneObject]]:
    for item in group:
        others = [o for o in group if o is not item]
        if not view.can_be_meant(item):
            continue
        for side in SIDES:
            if view.is_side_of(item, landmark, side) and all(view.is_not_side_of(o, landmark, side) for o in others):
                yield side, item
        near, far = gap(item, landmark), distance(item, landmark)
        if all(gap(o, landmark) >= 1.5 * near + 16 * view.unit and distance(o, landmark) >= 1.3 * far for o in others):
            yield "nearest", item
            if near <= 0.4 * (item.full + landmark.full):
                yield "near", item
        if all(near >= 1.5 * gap(o, landmark) + 16 * view.unit and far >= 1.3 * distance(o, landmark) for o in others):
            yield "farthest", item


def _multi_templates(name: str, count: int) -> tuple[str, ...]:
    if name in NO_COUNT:
        return wording.UNCOUNTED_MULTI_TEMPLATES
    return (*wording.MULTI_TEMPLATES, *wording.EVERY_TEMPLATES, *wording.COUNT_TEMPLATES.get(count, ()))


def _joined(view: SceneView) -> Meanings:
    """Two names, or two colours of one name, joined by "and"."""
    singles = [group[0] for group in view.clear_groups(1, 1).values() if view.can_be_meant(group[0])]
    for first, second in combinations(singles, 2):
        slots = {**noun(first.name), **second_noun(second.name)}
        yield Meaning("multi", (first.id, second.id), wording.JOIN_TEMPLATES, slots, weight=0.3)
    groups = [name for name, group in view.clear_groups(2).items() if view.can_be_meant(*group)]
    for one, other in combinations(groups, 2):
        slots = {**noun(one), **second_noun(other)}
        targets = _ids(view.by_class[one]) + _ids(view.by_class[other])
        yield Meaning("multi", targets, wording.JOIN_MULTI_TEMPLATES, slots, weight=0.5)
    for red, blue in combinations(color_meanings(view), 2):
        if red.pairs and blue.pairs and red.pairs[0][2] == blue.pairs[0][2]:
            slots = {**red.slots, "c2": blue.slots["c"]}
            yield Meaning("multi_color", red.targets + blue.targets, wording.JOIN_COLOR_TEMPLATES, slots, red.pairs + blue.pairs, 0.5)
