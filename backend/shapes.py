"""Masks and outlines: the rings around a mask, and the pixels inside a polygon or an ellipse.

Coordinates are pixels of the image, x to the right and y down, where pixel ``(i, j)`` is the square from ``(i, j)`` to
``(i + 1, j + 1)``, as in a browser's canvas. A pixel belongs to a shape when its centre lies inside. So the exact ring around a
mask runs along the edges of pixels, and filling it gives back the very mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float64]
"""float ``[N, 2]``: x and y of the corners of a closed outline, the first one not repeated."""


def mask_to_rings(mask: npt.NDArray[np.bool_], tolerance: float, smallest_share: float = 0.0) -> list[Ring]:
    """Outlines of the separate parts of a mask, largest part first.

    Parts that touch at a corner are one. A ring has no holes: those of a part are filled, and what lies in them is left out.

    Args:
        mask: bool ``[H, W]``.
        tolerance: how far a simplified outline may run from the exact one, in pixels; 0 for the exact one.
        smallest_share: parts whose area is a smaller share of the largest part are left out.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    # Every pixel becomes four, so that the contour through the centres of the small ones tells the left edge of a pixel from its
    # right edge: with p // 2 the pixel of the small one, (p + 1) // 2 is the nearest corner of that pixel.
    twice = part.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    exact = [(contour[:, 0].astype(np.int32) + 1) // 2 + np.array([left, top], dtype=np.int32) for contour in contours]
    areas = [abs(cv2.contourArea(ring)) for ring in exact]
    order = sorted(range(len(exact)), key=lambda index: -areas[index])
    return [_simplify(exact[index], tolerance) for index in order if areas[index] >= smallest_share * areas[order[0]]]


def _simplify(ring: npt.NDArray[np.int32], tolerance: float) -> Ring:
    """Fewer corners, within ``tolerance`` pixels; never fewer than an outline needs."""
    simpler = cv2.approxPolyDP(ring, tolerance, closed=True)[:, 0]
    return (simpler if len(simpler) >= 3 else cv2.approxPolyDP(ring, 0, closed=True)[:, 0]).astype(np.float64)


def polygon_to_mask(ring: Ring, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Fill a polygon by the even-odd rule; what lies off the image is cut.

    Args:
        ring: float ``[N, 2]``, finite; fewer than three corners cover nothing.
        size_hw: height and width of the mask.
    """
    height, width = size_hw
    # A pixel is inside when an odd number of edges crosses the row of its centre at or to the left of it.
    crossed = np.zeros((height, width + 1), dtype=np.bool_)
    for rows, columns, _ in _crossings(ring, size_hw):
        crossed[rows, columns] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1]


def crosses_itself(ring: Ring, size_hw: tuple[int, int]) -> bool:
    """Whether an outline crosses itself so that pixels show it: it runs around some of them twice, or around some each way.

    Args:
        ring: float ``[N, 2]``, finite.
        size_hw: height and width of the image.
    """
    turns = np.zeros((size_hw[0], size_hw[1] + 1), dtype=np.int32)
    for rows, columns, direction in _crossings(ring, size_hw):
        turns[rows, columns] += direction
    winding = np.cumsum(turns, axis=1)[:, :-1]
    least, most = int(winding.min(initial=0)), int(winding.max(initial=0))
    return most - least > 1


def _crossings(ring: Ring, size_hw: tuple[int, int]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], int]]:
    """For every edge: the rows whose centres it crosses, the first pixel to the right of it in each, and 1 downwards or -1 upwards."""
    height, width = size_hw
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        direction = 1 if y0 <= y1 else -1
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, end = (min(max(math.ceil(y - 0.5), 0), height) for y in (y0, y1))
        if first < end:
            rows = np.arange(first, end)
            x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            yield rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.intp), direction


def ellipse_to_mask(
    centre: tuple[float, float], radii: tuple[float, float], rotation: float, size_hw: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Fill an ellipse; what lies off the image is cut.

    Args:
        centre: x and y in pixels.
        radii: along its own x and y axis, in pixels, both above 0.
        rotation: degrees, clockwise as seen on the screen, about the centre.
        size_hw: height and width of the mask.
    """
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    dx, dy = x + 0.5 - centre[0], y + 0.5 - centre[1]
    angle = math.radians(rotation)
    along = (dx * math.cos(angle) + dy * math.sin(angle)) / radii[0]
    across = (dy * math.cos(angle) - dx * math.sin(angle)) / radii[1]
    inside: npt.NDArray[np.bool_] = along**2 + across**2 <= 1.0
    return inside


def rectangle_to_ring(corner: tuple[float, float], sides: tuple[float, float], rotation: float) -> Ring:
    """Corners of a rectangle that is turned by ``rotation`` degrees (clockwise on the screen) about its top left corner."""
    angle = math.radians(rotation)
    right = np.array([math.cos(angle), math.sin(angle)]) * sides[0]
    down = np.array([-math.sin(angle), math.cos(angle)]) * sides[1]
    start = np.array(corner)
    return np.array([start, start + right, start + right + down, start + down])
