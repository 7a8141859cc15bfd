"""Phrases that name several things at once, taken apart: "the red and the blue car" asks for "the red car" and for "the blue car".

English only, and careful: a phrase that could as well name one thing ("the black and white cat", "the man with hat and coat") stays whole.
Text alone, no torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MOST_PARTS = 8
"""A list of more is no referring expression and stays whole."""

_AND = re.compile(r",? (?:and|&) ", re.IGNORECASE)
_BETWEEN_PARTS = re.compile(rf"{_AND.pattern}| ?, ", re.IGNORECASE)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words(
    "the a an all both every each any some no this that these those my your his her its our their two three four five six"
)
_SHARED = frozenset({"the", "all", "every", "each", "any", "some", "these", "those"})
"""What the first part says for the others as well: "all dogs and cats" means all cats."""

_COLORS = _words(
    "red orange yellow green blue purple violet pink brown black white gray grey gold golden silver beige cyan turquoise teal magenta "
    "crimson scarlet maroon navy lime olive tan dark light bright pale"
)
_SIZES = _words(
    "big bigger biggest large larger largest small smaller smallest little tiny huge tall taller tallest short shorter shortest"
)
_PLACES = _words(
    "left leftmost right rightmost top topmost upper highest bottom lower lowest middle center centre front back near far nearest farthest "
    "first second third fourth fifth last 1st 2nd 3rd 4th 5th"
)
_DESCRIBING = _COLORS | _SIZES | _PLACES
_ALSO_NOUNS = frozenset({"orange", "olive", "lime"})
_CLOSING = _DESCRIBING | {"side", "corner", "foreground", "background"}
"""What says something of a thing and names no other: "the dog on the left and …" goes on with another dog, "the dog on the sofa and …" may
go on with another piece of furniture."""

_ATTACHING = _words(
    "with without in on at by near next beside behind before above over below beneath under inside outside around between among against "
    "from to toward towards than that who which whose where wearing holding carrying riding sitting standing lying facing closest nearest "
    "farthest furthest is are"
)
_PLURALS = _words("people children mice geese feet teeth cacti sheep fish police")


def parts_of(phrase: str) -> tuple[str, ...]:
    """What a phrase asks for, each thing in a phrase of its own.

    Words that the parts share are said with each of them: the noun of "the red and the blue car", the quantifier of "all dogs and cats".

    Args:
        phrase: a referring expression, in any case.

    Returns:
        The parts in their order; the phrase alone, as it is, where it names one thing or may do so.
    """
    spaced = " ".join(phrase.split())
    if not _AND.search(spaced):
        return (phrase,)
    texts = _BETWEEN_PARTS.split(spaced)
    parts = [_Part.of(text) for text in texts]
    if texts[0].lower().startswith("both "):  # "both the dog and the cat": counts them, and says nothing of either
        parts[0] = _Part.of(texts[0][len("both ") :])
    if not 1 < len(parts) <= MOST_PARTS or not all(map(_is_whole, parts)):
        return (phrase,)
    named = _with_nouns(parts)
    if named is None or not _stand_alone(named):
        return (phrase,)
    return tuple(part.text for part in _with_quantifier(named))


@dataclass(frozen=True, slots=True)
class _Part:
    """``the two | big red | cars on the left``."""

    determiner: tuple[str, ...]
    describing: tuple[str, ...]
    named: tuple[str, ...]
    """The noun with all that follows it; empty in "the red" of "the red and the blue car"."""

    @classmethod
    def of(cls, text: str) -> _Part:
        words = text.split()
        start = _count_while(words, _DETERMINERS)
        middle = start + _count_while(words[start:], _DESCRIBING)
        part = cls(tuple(words[:start]), tuple(words[start:middle]), tuple(words[middle:]))
        return part.with_noun() if len(part.describing) > 1 else part

    def with_noun(self) -> _Part:
        """The last describing word as the noun, where it can be one and there is no other: "the orange"."""
        if self.named or self.describing[-1:] == () or self.describing[-1].lower() not in _ALSO_NOUNS:
            return self
        return replace(self, describing=self.describing[:-1], named=self.describing[-1:])

    @property
    def text(self) -> str:
        return " ".join((*self.determiner, *self.describing, *self.named))

    @property
    def attaching(self) -> int | None:
        """Place in ``named`` of the word from which on something is told of the noun, ``None`` without such a word."""
        words = [word.lower() for word in self.named]
        for place, word in enumerate(words):
            if word in _ATTACHING or (word in _PLACES and words[place + 1 : place + 2] == ["of"]):  # "a loaf of bread" is one noun
                return place
        return None

    @property
    def is_plural(self) -> bool:
        nouns = self.named[: self.attaching]
        noun = nouns[-1].lower() if nouns else ""
        return noun in _PLURALS or noun.endswith("men") or (noun.endswith("s") and not noun.endswith(("ss", "us")))


def _is_whole(part: _Part) -> bool:
    """Whether this can be a thing at all: "standing" of "the man standing and waving" cannot, nor "is big"."""
    first = part.named[0].lower() if part.named else ""
    is_no_thing = (first.endswith("ing") and not part.determiner) or first in {"and", "&"} or "," in part.text
    return bool(part.describing or part.named) and part.attaching != 0 and not is_no_thing


def _with_nouns(parts: Sequence[_Part]) -> list[_Part] | None:
    """Give those without a noun that of the next one; ``None`` where two words may describe one and the same thing."""
    named: list[_Part] = []
    for part in reversed(parts):
        if not part.named:
            following = named[-1] if named else None
            part = _with_noun_of(part, following) if following and following.describing else part.with_noun()
        if not part.named:
            return None
        named.append(part)
    return named[::-1]


def _with_noun_of(part: _Part, following: _Part) -> _Part:
    """ "The red and blue car" is one car, "the red and the blue car" and "red and blue cars" are not."""
    are_several = following.determiner or following.is_plural or "all" in map(str.lower, part.determiner)
    return replace(part, named=following.named) if are_several else part


def _stand_alone(parts: Sequence[_Part]) -> bool:
    """Whether what is told of one thing surely ends before the next one begins."""
    for part, following in pairwise(parts):
        if part.named == following.named:
            continue  # it is told of both: "the first and the second car from the left"
        if part.attaching is not None and not (part.named[-1].lower() in _CLOSING and following.determiner):
            return False
        if following.attaching is not None and not following.determiner:
            return False  # "the dogs and cats on the left": all of them are
    return True


def _with_quantifier(parts: Sequence[_Part]) -> list[_Part]:
    shared = tuple(word for word in parts[0].determiner if word.lower() in _SHARED)
    return [part if part.determiner else replace(part, determiner=shared) for part in parts]


def _count_while(words: Sequence[str], known: frozenset[str]) -> int:
    return next((place for place, word in enumerate(words) if word.lower() not in known), len(words))
