"""Referring expressions for a scene: text, kind, and the objects that are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from models.data.emoji_scenes import absent, meanings
from models.data.emoji_scenes.geometry import SceneView
from models.data.emoji_scenes.meta import SceneMeta
from models.data.emoji_scenes.splits import Pair, get_split, is_held_out
from models.data.emoji_scenes.wording import Meaning

NO_TARGET_SHARE = 0.28
"""Share of sampled expressions that mean nothing in the scene."""

KIND_WEIGHTS: Mapping[str, float] = MappingProxyType({
    "name": 9.0, "name_color": 6.0, "color": 18.0, "size": 18.0, "spatial": 20.0, "ordinal": 14.0, "relation": 18.0, "multi": 9.0,
    "category": 4.0, "none_absent": 20.0, "none_attribute": 8.0,
})  # fmt: skip
"""Kind -> how often it is drawn where a scene has it; kinds that few scenes have weigh more."""
DRAWN_WITH_OTHERS = ("color_only", "multi_color")
"""Kinds that are drawn as part of ``color`` and ``multi``: "the red object", which names nothing, and "all red cars", which join a colour
and a name."""

KINDS: tuple[str, ...] = (*KIND_WEIGHTS, *DRAWN_WITH_OTHERS)
NO_TARGET_KINDS: tuple[str, ...] = ("none_absent", "none_attribute")

_MAKERS: Mapping[str, Callable[[SceneView, np.random.Generator], Iterable[Meaning]]] = MappingProxyType(
    {
        "name": lambda view, rng: meanings.name_meanings(view),
        "name_color": lambda view, rng: meanings.name_color_meanings(view),
        "color": lambda view, rng: meanings.color_meanings(view),
        "size": lambda view, rng: meanings.size_meanings(view),
        "spatial": lambda view, rng: meanings.spatial_meanings(view),
        "ordinal": lambda view, rng: meanings.ordinal_meanings(view),
        "relation": lambda view, rng: meanings.relation_meanings(view),
        "multi": lambda view, rng: meanings.multi_meanings(view),
        "category": lambda view, rng: meanings.category_meanings(view),
        "none_absent": absent.none_absent_meanings,
        "none_attribute": absent.none_attribute_meanings,
    }
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A phrase about a scene and what it means there."""

    text: str
    """Lower case."""
    kind: str
    """One of :data:`KINDS`."""
    targets: tuple[int, ...]
    """Ids of the objects that are meant, empty when none is."""
    pairs: tuple[Pair, ...] = ()
    """Attribute and class pairs that the phrase joins."""
    names: tuple[str, ...] = ()
    """Classes that the phrase names."""


def tells_apart_what_is_held_out(expression: Expression, scene_meta: SceneMeta) -> bool:
    """Whether the scene shows something else in a colour that training keeps from what the expression names.

    Training has no purple truck. So nothing purple ever is "the truck", and whoever learns from scenes that show both learns that nothing
    purple can be: not a fact about trucks, but about what was kept apart.
    """
    return any(
        one.color is not None and one.name != name and is_held_out(("color", one.color, name))
        for one in scene_meta.objects
        for name in expression.names
    )


def expressions(scene_meta: SceneMeta, rng: np.random.Generator, split: str) -> list[Expression]:
    """Everything that can be said about a scene in a split, in one wording each, ordered by kind.

    Args:
        scene_meta: the scene.
        rng: chooses wordings and, of the very many absent things, some.
        split: what it may not say is left out, see :meth:`models.data.emoji_scenes.splits.Split.may_say`.

    Raises:
        ValueError: the split is unknown.
    """
    speaker = _Speaker(scene_meta, rng, split)
    return [_word(meaning, rng) for kind in KIND_WEIGHTS for meaning in speaker.meanings(kind)]


def sample_expressions(
    scene_meta: SceneMeta, rng: np.random.Generator, n: int, split: str, weights: Mapping[str, float] = KIND_WEIGHTS
) -> list[Expression]:
    """Draw expressions: first target or none, then the kind by its weight, then one meaning of it and a wording.

    Args:
        scene_meta: the scene.
        rng: decides everything.
        n: how many; texts differ where the scene gives so many, else fewer come back (none at all only where nothing can be said).
        split: as for :func:`expressions`.
        weights: of the kinds; those of the reported splits when left out. That of one of :data:`DRAWN_WITH_OTHERS` is a factor
            among the meanings it is drawn with, 1 when left out.

    Raises:
        ValueError: the split is unknown.
    """
    speaker = _Speaker(scene_meta, rng, split, weights)
    found: dict[str, Expression] = {}
    for _ in range(4 * n):
        meaning = speaker.draw()
        if meaning is None or len(found) == n:
            break
        expression = _word(meaning, rng)
        found.setdefault(expression.text, expression)
    return list(found.values())


class _Speaker:
    """The meanings of one scene, worked out when their kind is first drawn."""

    def __init__(self, scene_meta: SceneMeta, rng: np.random.Generator, split: str, weights: Mapping[str, float] = KIND_WEIGHTS) -> None:
        self._view = SceneView(scene_meta)
        self._rng = rng
        self._weights = weights
        self._split = get_split(split)
        self._known: dict[str, list[Meaning]] = {}

    def meanings(self, kind: str) -> list[Meaning]:
        """All meanings of a kind that the split allows."""
        if kind not in self._known:
            made = _MAKERS[kind](self._view, self._rng)
            self._known[kind] = [meaning for meaning in made if self._split.may_say(meaning.pairs)]
        return self._known[kind]

    def draw(self) -> Meaning | None:
        """A meaning by the weights; ``None`` when nothing can be said."""
        with_target = [kind for kind in KIND_WEIGHTS if kind not in NO_TARGET_KINDS]
        first, second = (NO_TARGET_KINDS, with_target) if self._rng.random() < NO_TARGET_SHARE else (with_target, NO_TARGET_KINDS)
        return self._draw_among(list(first)) or self._draw_among(list(second))

    def _draw_among(self, kinds: list[str]) -> Meaning | None:
        while kinds:
            kind = kinds[_pick(self._rng, [self._weights[kind] for kind in kinds])]
            weights = [meaning.weight * self._factor(meaning) for meaning in self.meanings(kind)]
            if not any(weights):
                kinds.remove(kind)
            elif self._rng.random() < sum(weights):  # a kind with rare meanings only is itself drawn rarely
                return self.meanings(kind)[_pick(self._rng, weights)]
        return None

    def _factor(self, meaning: Meaning) -> float:
        return self._weights.get(meaning.kind, 1.0) if meaning.kind in DRAWN_WITH_OTHERS else 1.0


def _word(meaning: Meaning, rng: np.random.Generator) -> Expression:
    return Expression(meaning.say(rng), meaning.kind, meaning.targets, meaning.pairs, meaning.names)


def _pick(rng: np.random.Generator, weights: list[float]) -> int:
    """An index, by weight; much faster than ``Generator.choice`` for a handful."""
    rest = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        rest -= weight
        if rest < 0:
            return index
    return len(weights) - 1
