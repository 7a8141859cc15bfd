"""Values of a tag's attributes in a labeling config: what is written there, or an error that says what may be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from xml.etree.ElementTree import Element

from backend.errors import LabelConfigError

Tag = tuple[str, dict[str, str], Element]
"""Lower-case tag, attributes by lower-case name, element. Label Studio's editor takes both in any case."""

_Value = TypeVar("_Value")

_YES = ("true", "1", "yes")
_NO = ("false", "0", "no", "")


def read_flag(tag: Tag, attribute: str) -> bool:
    """True or false, the latter where nothing is written. Raises ``LabelConfigError`` for anything else."""
    text = tag[1].get(attribute, "false").strip().lower()
    if text not in (*_YES, *_NO):
        raise _error(tag[2].tag, tag[1], attribute, "true or false")
    return text in _YES


def read_number(tag: Tag, attribute: str, low: float, high: float) -> float | None:
    """A number between two others; ``None`` where nothing is written. Raises ``LabelConfigError`` for anything else."""
    if attribute not in tag[1]:
        return None
    try:
        value = float(tag[1][attribute])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise _error(tag[2].tag, tag[1], attribute, f"a number from {low:g} to {high:g}")
    return value


def read_whole_number(tag: Tag, attribute: str) -> int | None:
    """A whole number from 1; ``None`` where nothing is written. Raises ``LabelConfigError`` for anything else."""
    value = read_number(tag, attribute, 1, 1_000_000)
    if value is not None and value != int(value):
        raise _error(tag[2].tag, tag[1], attribute, "a whole number")
    return None if value is None else int(value)


def read_choice(tag: str, attributes: Mapping[str, str], attribute: str, choices: Mapping[str, _Value]) -> _Value | None:
    """What one of a few words means, in any case; ``None`` where nothing is written. Raises ``LabelConfigError`` for another word."""
    text = attributes.get(attribute, "").strip().lower()
    if text and text not in choices:
        raise _error(tag, attributes, attribute, " or ".join(choices))
    return choices.get(text)


def _error(tag: str, attributes: Mapping[str, str], attribute: str, expected: str) -> LabelConfigError:
    name = attributes.get("name") or attributes.get("value", "")
    found = f"{tag} {name!r:.60} has {attribute}={attributes[attribute]!r:.60}"
    return LabelConfigError(f"{found}; expected {expected}; correct it in the labeling config or leave it out")
