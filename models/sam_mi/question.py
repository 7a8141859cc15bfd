"""What is asked about an image: labels as people write them, names as the network hears them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.sam_mi.label_text import tidy


@dataclass(frozen=True, slots=True)
class Question:
    """Labels, each said once, and their rivals."""

    labels: tuple[str, ...]
    """As they were asked for."""
    names: tuple[str, ...]
    """Tidied, without repetition."""
    place: tuple[int, ...]
    """Of each name: the first place in ``labels`` that says it."""
    rivals: tuple[str, ...]
    """Further names that compete and are not returned; none of them is in ``names``."""
    is_stuff: tuple[bool, ...]
    """Of each name."""


def ask(labels: Sequence[str], rivals: Sequence[str], stuff: frozenset[str]) -> Question:
    """Tidy the labels of a request.

    Args:
        labels: any number.
        rivals: names of what else there may be; one that is also a label counts as label.
        stuff: those of the labels that cannot be counted.

    Raises:
        ValueError: a name is blank.
    """
    for number, name in enumerate([*labels, *rivals], start=1):
        if not name.strip():
            raise ValueError(f"name {number} of {len(labels) + len(rivals)} is blank; leave it out, or say what to look for")
    place: dict[str, int] = {}
    for number, label in enumerate(labels):
        place.setdefault(tidy(label), number)
    uncountable = {tidy(label) for label in stuff}
    return Question(
        labels=tuple(labels),
        names=tuple(place),
        place=tuple(place.values()),
        rivals=tuple(dict.fromkeys(name for name in map(tidy, rivals) if name not in place)),
        is_stuff=tuple(name in uncountable for name in place),
    )
