"""What is kept apart from what: splits, and the pairs of attribute and class that training never sees together."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from models.data.emoji_scenes.glyphs import HELD_OUT_STYLE, TRAIN_STYLES

Pair = tuple[str, str, str]
"""(kind, word, class), for example ``("color", "red", "car")``; kinds are ``color``, ``side`` and ``size``."""


def is_held_out(pair: Pair) -> bool:
    """Whether training never joins this word and class; about one pair in seven, fixed by a checksum."""
    return _seventh(pair) == 0


def is_counterpart(pair: Pair) -> bool:
    """Another pair in seven, chosen like those held out, but training has it: what tells unseen from merely hard."""
    return _seventh(pair) == 1


def _seventh(pair: Pair) -> int:
    return zlib.crc32(":".join(pair).encode()) % 7


@dataclass(frozen=True, slots=True)
class Split:
    """What scenes and expressions of a split may contain."""

    name: str
    styles: tuple[str, ...] = TRAIN_STYLES
    held_out_backgrounds: bool = False
    """Whether scenes stand on the kinds of background that training lacks."""
    asks_for: Callable[[Pair], bool] | None = None
    """Every expression joins such a pair, and most scenes are made to show some."""

    @property
    def held_out_pairs(self) -> bool:
        """Whether held-out pairs are shown and said."""
        return self.asks_for is is_held_out

    def may_say(self, pairs: Sequence[Pair]) -> bool:
        """Whether an expression that joins these pairs belongs to the split."""
        if not self.held_out_pairs and any(map(is_held_out, pairs)):
            return False
        return self.asks_for is None or any(map(self.wants, pairs))

    def wants(self, pair: Pair) -> bool:
        """Whether the split is about this pair."""
        return self.asks_for is not None and self.asks_for(pair)


SPLITS: Mapping[str, Split] = MappingProxyType(
    {
        split.name: split
        for split in (
            Split("train"),
            Split("val"),
            Split("test"),
            Split("calibration"),
            Split("compositions", asks_for=is_held_out),
            Split("seen_pairs", asks_for=is_counterpart),
            Split("backgrounds", held_out_backgrounds=True),
            Split("openmoji", styles=(HELD_OUT_STYLE,)),
        )
    }
)
"""Every split by name. All but ``train`` hold scenes that training never saw."""


def get_split(name: str) -> Split:
    """The split called ``name``.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}; known splits: {', '.join(SPLITS)}")
    return SPLITS[name]


def scene_rng(split: str, seed: int, index: int) -> np.random.Generator:
    """The random generator of one scene: it depends on nothing else, so any part of a set can be made again alone."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), index])
