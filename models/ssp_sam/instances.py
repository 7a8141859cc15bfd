"""From one mask to separate objects: "all the dogs" is one mask for the network and several regions for a person.

Parts of a mask that do not touch are usually different objects, but an object behind a pole has two parts as well. SAM's own clicks
decide: parts that one click brings out together belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import numpy.typing as npt

from models.types import BoolMask

SPECK_SHARE = 0.04
"""Parts smaller than this share of the largest part are noise and are dropped."""
TOGETHER_SHARE = 0.6
"""A part belongs to a click's object when the click's mask covers at least this share of it."""

MOST_PARTS = 50
"""Parts beyond this many are dropped, smallest first: each becomes a mask as large as the image."""

Clicked = Callable[[npt.NDArray[np.float64]], Iterable[BoolMask]]
"""Clicks float ``[P, 2]`` (x, y, pixels) -> one mask per click, in order; best made one at a time, they are large."""


def split_instances(mask: BoolMask, clicked: Clicked, *, min_area: float) -> list[BoolMask]:
    """Separate the objects of a mask.

    Args:
        mask: bool ``[H, W]``.
        clicked: asks the model what each click marks; not called for a mask of one part.
        min_area: parts below this many pixels are dropped.

    Returns:
        disjoint masks, largest first; empty when nothing reaches ``min_area``.
    """
    parts = connected_parts(mask, min_area=min_area)
    if len(parts) < 2:
        return parts
    clicks = np.array([deepest_pixel(part) for part in parts], dtype=np.float64)
    groups: list[BoolMask] = []
    free = list(range(len(parts)))
    for first, answer in zip(range(len(parts)), clicked(clicks), strict=True):
        if first not in free:
            continue
        together = [i for i in free if i == first or (answer & parts[i]).sum() >= TOGETHER_SHARE * parts[i].sum()]
        groups.append(np.logical_or.reduce([parts[i] for i in together]))
        free = [i for i in free if i not in together]
    return sorted(groups, key=np.count_nonzero, reverse=True)


def connected_parts(mask: BoolMask, *, min_area: float) -> list[BoolMask]:
    """The 8-connected parts of a mask that are no specks, largest first, at most :data:`MOST_PARTS`."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    order = [part for part in np.argsort(-areas, kind="stable") if part != 0]
    if not order:
        return []
    floor = max(min_area, SPECK_SHARE * areas[order[0]])
    return [labels == part for part in order[:MOST_PARTS] if areas[part] >= floor]


def deepest_pixel(mask: BoolMask) -> tuple[int, int]:
    """x and y of the pixel farthest from the border of a mask: where a careful person would click."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    cropped = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # A frame of background, so that the edge of the image counts as a border.
    depth = cv2.distanceTransform(np.pad(cropped, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return left + int(column), top + int(row)
