"""When a scene bears a word out: sides, sizes, orders and distances, each with a margin that leaves no doubt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from models.data.emoji_scenes.meta import CANVAS, SceneMeta, SceneObject
from models.data.emoji_scenes.vocabulary import CLOSE_COLORS, may_be_called

MIN_AREA = 150
"""Objects with fewer visible pixels (of a 256-pixel scene) are never meant, but still make a word ambiguous."""
SIDE_MARGIN = 16
"""Pixels (of a 256-pixel scene) between the centres of the leftmost and the next."""
SIZE_RATIO = 1.3
"""The biggest is at least this many times as long as the next."""

SIDES: dict[str, tuple[int, int]] = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}
"""Side -> axis (0: x, 1: y) and sign."""

Group = Sequence[SceneObject]


class SceneView:
    """A scene seen by class, with the tests that expressions need.

    Args:
        meta: the scene.
    """

    def __init__(self, meta: SceneMeta) -> None:
        self.objects = meta.objects
        self.unit = max(meta.size_hw) / CANVAS
        self.by_class: dict[str, list[SceneObject]] = {}
        for item in meta.objects:
            self.by_class.setdefault(item.name, []).append(item)

    def can_be_meant(self, *items: SceneObject) -> bool:
        """Whether enough of each is seen."""
        return all(item.area >= MIN_AREA * self.unit**2 for item in items)

    def is_clear(self, name: str) -> bool:
        """Whether no object of another class might go by that name."""
        return not any(other != name and may_be_called(name, other) for other in self.by_class)

    def clear_groups(self, least: int, most: int = 99) -> dict[str, list[SceneObject]]:
        """Class -> its objects, for classes whose name is clear and whose number lies in the range."""
        return {name: group for name, group in self.by_class.items() if least <= len(group) <= most and self.is_clear(name)}

    def side_margin(self, first: SceneObject, second: SceneObject) -> float:
        """Pixels by which centres must differ along an axis before one may be called farther left."""
        return max(SIDE_MARGIN * self.unit, 0.125 * (first.full + second.full))

    def is_beyond(self, first: SceneObject, second: SceneObject, side: str) -> bool:
        """Whether ``first`` lies clearly farther to that side than ``second``, and not mainly across."""
        axis, sign = SIDES[side]
        along = sign * (first.center[axis] - second.center[axis])
        across = abs(first.center[1 - axis] - second.center[1 - axis])
        return along >= max(self.side_margin(first, second), 0.25 * across)

    def outermost(self, group: Group, side: str) -> SceneObject | None:
        """The one farthest to a side, if there is no doubt about it."""
        axis, sign = SIDES[side]
        first = max(group, key=lambda item: sign * item.center[axis])
        clear = all(self.is_beyond(first, item, side) for item in group if item is not first)
        return first if clear and self.can_be_meant(first) else None

    def in_order(self, group: Group, side: str) -> list[SceneObject] | None:
        """The group counted from a side; ``None`` when two of them are level."""
        axis, sign = SIDES[side]
        order = sorted(group, key=lambda item: -sign * item.center[axis])
        return order if all(self.is_beyond(a, b, side) for a, b in pairwise(order)) else None

    def middle(self, group: Group) -> SceneObject | None:
        """The middle one of three in a row or column, if it is also nearest to their common centre."""
        if len(group) != 3:
            return None
        centers = np.array([item.center for item in group])
        spread = np.ptp(centers, axis=0)
        axis = int(np.argmax(spread))
        order = self.in_order(group, ("left", "top")[axis])
        if order is None or spread[1 - axis] > 0.6 * spread[axis] or not self.can_be_meant(order[1]):
            return None
        share = (order[1].center[axis] - order[0].center[axis]) / spread[axis]
        return order[1] if 0.25 <= share <= 0.75 else None

    def by_size(self, group: Group, size: str, ratio: float = SIZE_RATIO) -> SceneObject | None:
        """The biggest (``size="big"``) or smallest, if whole size and visible area agree with a margin."""
        sign = 1 if size == "big" else -1
        first = max(group, key=lambda item: sign * item.full)
        others = [item for item in group if item is not first]
        clear = all((first.full / item.full) ** sign >= ratio and (first.area / max(item.area, 1)) ** sign >= 1.2 for item in others)
        return first if clear and self.can_be_meant(first) else None

    def is_side_of(self, item: SceneObject, landmark: SceneObject, side: str) -> bool:
        """Whether ``item`` lies plainly left (right, ...) of ``landmark``: mainly in that direction, boxes apart."""
        axis, sign = SIDES[side]
        along = sign * (item.center[axis] - landmark.center[axis])
        across = abs(item.center[1 - axis] - landmark.center[1 - axis])
        near, far = (item, landmark) if sign > 0 else (landmark, item)
        overlap = far.box[2 + axis] - near.box[axis]
        shorter = min(o.box[2 + axis] - o.box[axis] for o in (item, landmark))
        return along >= max(20 * self.unit, across) and overlap <= 0.25 * shorter

    def is_not_side_of(self, item: SceneObject, landmark: SceneObject, side: str) -> bool:
        """Whether nobody would say that ``item`` lies left (right, ...) of ``landmark``."""
        axis, sign = SIDES[side]
        return sign * (item.center[axis] - landmark.center[axis]) <= -6 * self.unit


def gap(first: SceneObject, second: SceneObject) -> float:
    """Pixels between two boxes, 0 when they touch."""
    across, down = (max(first.box[a] - second.box[a + 2], second.box[a] - first.box[a + 2], 0) for a in (0, 1))
    return float(np.hypot(across, down))


def distance(first: SceneObject, second: SceneObject) -> float:
    """Pixels between two centres."""
    return float(np.hypot(first.center[0] - second.center[0], first.center[1] - second.center[1]))


def clearly_lacks(item: SceneObject, color: str) -> bool:
    """Whether ``color`` tells another object from this one: it has another main colour, and none of this one in it."""
    return item.color is not None and item.color != color and color not in item.colors


def has_nothing_like(item: SceneObject, color: str) -> bool:
    """Whether the object's colour is known and neither ``color`` nor a close one is seen anywhere in it."""
    return item.color is not None and not CLOSE_COLORS[color].intersection(item.colors)
