"""What an annotator did in the editor, read from ``params.context.result`` of an interactive request.

Label Studio sends the gesture as regions: a ``textarea`` (no size, no label), ``keypointlabels`` and ``rectanglelabels``. Positions are
percent of the image's sides and are kept so, because a typed prompt and some clients give no image size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from backend.label_plan import LONGEST_NAME
from models import Box

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TextGesture:
    """A prompt that was typed; ``item_index`` says on which image of a list, if it is known."""

    prompt: str
    to_name: str
    item_index: int | None


@dataclass(frozen=True, slots=True)
class Click:
    """A smart click; ``x`` and ``y`` in percent."""

    x: float
    y: float
    is_positive: bool
    label: str | None
    to_name: str
    item_index: int | None


@dataclass(frozen=True, slots=True)
class BoxGesture:
    """A smart rectangle; position and size in percent, ``rotation`` in degrees about the top left corner."""

    x: float
    y: float
    width: float
    height: float
    rotation: float
    label: str | None
    to_name: str
    item_index: int | None

    def to_pixels(self, size_hw: tuple[int, int]) -> Box:
        """The smallest upright box around the rectangle, clipped to the image."""
        height, width = size_hw
        angle = math.radians(self.rotation)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        sides = np.array([self.width * width, self.height * height]) / 100
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * sides @ turn.T
        corners += np.array([self.x * width, self.y * height]) / 100
        x0, y0 = np.clip(corners.min(axis=0), 0, (width, height))
        x1, y1 = np.clip(corners.max(axis=0), 0, (width, height))
        return float(x0), float(y0), float(x1), float(y1)


@dataclass(frozen=True, slots=True)
class Gestures:
    """Everything that one interactive request asks for, and what of it could not be read."""

    prompts: tuple[TextGesture, ...]
    clicks: tuple[Click, ...]
    boxes: tuple[BoxGesture, ...]
    problems: tuple[str, ...]


def parse_gestures(result: Sequence[Any], stored: Sequence[Any] = ()) -> Gestures:
    """Read a context's ``result``; entries that cannot be read become ``problems`` and the others still count.

    Args:
        result: what the annotator did.
        stored: regions of the task's drafts; they tell which of several texts in a box was edited.
    """
    prompts: list[TextGesture] = []
    clicks: list[Click] = []
    boxes: list[BoxGesture] = []
    problems: list[str] = []
    for entry in result:
        kind = entry.get("type") if isinstance(entry, dict) else None
        value = entry.get("value") if isinstance(entry, dict) else None
        if not isinstance(value, dict):
            problems.append(f"an entry of the context has no value object: {_short(entry)}")
        elif kind == "textarea":
            prompts += _read_text(entry, value, stored)
        elif kind in ("keypointlabels", "keypoint"):
            _keep(clicks, _read_click(entry, value), problems, entry)
        elif kind in ("rectanglelabels", "rectangle"):
            _keep(boxes, _read_box(entry, value), problems, entry)
        else:
            problems.append(f"a gesture of type {_short(kind)} is not understood; type a prompt, click or draw a rectangle")
    return Gestures(tuple(prompts), tuple(clicks), tuple(boxes), tuple(problems))


def _read_text(entry: Mapping[str, Any], value: Mapping[str, Any], stored: Sequence[Any]) -> list[TextGesture]:
    """The one prompt that is new: a box that accepts several sends all of them every time, and the others were answered before."""
    texts = _texts_of(value)
    if not texts:
        return []
    same_box = (other for other in stored if isinstance(other, dict) and other.get("id") == entry.get("id"))
    before = next((_texts_of(other.get("value")) for other in same_box), [])
    edited = [new for new, old in zip(texts, before, strict=True) if new != old] if len(before) == len(texts) else []
    return [TextGesture(edited[0] if edited else texts[-1], str(entry.get("to_name", "")), _item_index(entry))]


def _texts_of(value: Any) -> list[str]:
    """Texts of a text box's ``value``, without blank ones."""
    texts = value.get("text") if isinstance(value, dict) else None
    texts = [texts] if isinstance(texts, str) else texts if isinstance(texts, list) else []
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def _read_click(entry: Mapping[str, Any], value: Mapping[str, Any]) -> Click | None:
    x, y = _number(value.get("x")), _number(value.get("y"))
    if x is None or y is None:
        return None
    return Click(x, y, entry.get("is_positive") is not False, _label(entry, value), str(entry.get("to_name", "")), _item_index(entry))


def _read_box(entry: Mapping[str, Any], value: Mapping[str, Any]) -> BoxGesture | None:
    x, y, width, height = (_number(value.get(key)) for key in ("x", "y", "width", "height"))
    if x is None or y is None or width is None or height is None or width <= 0 or height <= 0:
        return None
    rotation = _number(value.get("rotation")) or 0.0
    return BoxGesture(x, y, width, height, rotation, _label(entry, value), str(entry.get("to_name", "")), _item_index(entry))


def _keep(kept: list[_T], found: _T | None, problems: list[str], entry: Any) -> None:
    if found is None:
        problems.append(f"a gesture has no usable position: {_short(entry)}")
    else:
        kept.append(found)


def _label(entry: Mapping[str, Any], value: Mapping[str, Any]) -> str | None:
    for key in (str(entry.get("type")), "labels"):
        labels = value.get(key)
        if isinstance(labels, list) and labels and isinstance(labels[0], str):
            return labels[0][:LONGEST_NAME]
    return None


def _item_index(entry: Mapping[str, Any]) -> int | None:
    index = entry.get("item_index")
    return index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else None


def _number(value: Any) -> float | None:
    """A finite number of a size that a percentage may have; Label Studio allows positions off the image, but none far away."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and -1e4 < value < 1e4 else None


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= 120 else text[:117] + "..."
