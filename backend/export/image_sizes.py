"""How large an image is, when only its regions tell: they are written by many programs, and some of them write nonsense."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Size = tuple[int, int]
"""Height and width in pixels."""

_LARGEST_SIDE = 1_000_000


def named_size(entry: Mapping[str, Any]) -> Size | None:
    """What a region says of its image's size; ``None`` when that cannot be a size."""
    height, width = entry.get("original_height"), entry.get("original_width")
    if type(height) is not int or type(width) is not int:
        return None
    return (height, width) if 1 <= height <= _LARGEST_SIDE and 1 <= width <= _LARGEST_SIDE else None


def agreed_size(entries: Sequence[Mapping[str, Any]]) -> Size | None:
    """The size of the image that regions lie on: that of most regions, and of the brush masks before all others.

    A brush mask knows how many pixels its image has, so a size that does not fit it is wrong; a size in percent fits any image.
    """
    votes: Counter[Size] = Counter()
    for entry in entries:
        size = named_size(entry)
        if size is not None:
            votes[size] += len(entries) + 1 if _fits_brush(entry, size) else 1
    return max(votes, key=lambda size: (votes[size], size)) if votes else None


def _fits_brush(entry: Mapping[str, Any], size: Size) -> bool:
    value = entry.get("value")
    rle = value.get("rle") if isinstance(value, Mapping) else None
    return isinstance(rle, bytes) and int.from_bytes(rle[:4], "big") == 4 * size[0] * size[1]
