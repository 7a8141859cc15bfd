"""What is known about a scene besides its pixels, as values and as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

CANVAS = 256
"""Side in pixels of the square that stored scenes are padded to."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One visible object of a scene; lengths in pixels."""

    id: int
    """Its value in the id map, 1..n; also its place in :attr:`SceneMeta.objects` plus one. Higher ids lie on top."""
    name: str
    """Its class."""
    color: str | None
    """The colour that most of it has, or ``None``."""
    colors: tuple[str, ...]
    """Every colour that can be seen in it."""
    style: str
    """Vendor of the glyph."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 of the visible part, right and bottom exclusive."""
    area: int
    """Pixels of the visible part."""
    center: tuple[float, float]
    """x, y of the middle of the visible part."""
    full: float
    """Square root of the area that it would have were nothing in front of it."""
    recolored: bool
    """Whether the colour is ours and not the vendor's."""


@dataclass(frozen=True, slots=True)
class SceneMeta:
    """A scene: where its content lies on the canvas and what is in it."""

    size_hw: tuple[int, int]
    """Height and width of the content, which starts at the top left of the canvas; the rest is black."""
    background: str
    objects: tuple[SceneObject, ...]

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> SceneMeta:
        """The inverse of :meth:`to_json`."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> SceneMeta:
        """The scene of a parsed record."""
        height, width = record["size_hw"]
        return cls((height, width), record["background"], tuple(_object(item) for item in record["objects"]))


def _object(record: dict[str, Any]) -> SceneObject:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    return SceneObject(**values)
