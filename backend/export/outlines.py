"""Masks as COCO polygons without loss of holes.

COCO takes the outlines of an object for a union, so a hole cannot be an outline of its own. Here each part of a mask is one outline: the
rings of its holes are joined to its outer ring by seams, which are run once there and once back and so cover nothing. An outline whose
pixels, as COCO's own tools fill them, are not those of the mask is not used.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from models import BoolMask, coco_rle_to_mask

_IntRing = npt.NDArray[np.int32]

MOST_RINGS = 500
"""A mask with more rings than this is dust: its run-length code is shorter than its outlines."""

MOST_CORNERS = 200_000
"""Of all outlines of a mask together; COCO's tools need time and memory for each."""


def mask_to_polygons(mask: BoolMask, tolerance: float) -> list[list[float]] | None:
    """Outlines of a mask as COCO writes them.

    Args:
        mask: bool ``[H, W]`` with at least one pixel.
        tolerance: how far an outline may run from the exact edge, in pixels; with 0 the outlines give back the very mask.

    Returns:
        One list ``x, y, x, y, ...`` per part; ``None`` when outlines cannot hold the mask within the tolerance.
    """
    parts = _rings(mask)
    rings = sum(1 + len(holes) for _, holes in parts)
    if rings > MOST_RINGS or sum(len(ring) for outer, holes in parts for ring in (outer, *holes)) > MOST_CORNERS:
        return None
    outlines = [_joined([_simpler(ring, tolerance) for ring in (outer, *holes)]) for outer, holes in parts]
    polygons = [[float(number) if tolerance else int(number) for number in outline.ravel()] for outline in outlines]
    return polygons if _holds(polygons, mask, tolerance) else None


def joined_outline(mask: BoolMask, tolerance: float) -> npt.NDArray[np.int32]:
    """All parts and holes of a mask as one closed outline, joined by seams: for formats that have one outline per object."""
    rings = [ring for outer, holes in _rings(mask) for ring in (outer, *holes)]
    return _joined([_simpler(ring, tolerance) for ring in rings])


def _rings(mask: BoolMask) -> list[tuple[_IntRing, list[_IntRing]]]:
    """The outer ring of every part, and those of its holes, along the edges of pixels; largest part first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    # Four pixels for each, so that left and right edges of a pixel differ; see backend.shapes.mask_to_rings.
    contours, hierarchy = cv2.findContours(cut.repeat(2, axis=0).repeat(2, axis=1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [(contour[:, 0].astype(np.int32) + 1) // 2 + np.array([left, top], dtype=np.int32) for contour in contours]
    holes: dict[int, list[_IntRing]] = {}
    for ring, (_, _, _, parent) in zip(rings, hierarchy[0], strict=True):
        if parent >= 0:
            holes.setdefault(int(parent), []).append(ring)
    outer = [index for index, (_, _, _, parent) in enumerate(hierarchy[0]) if parent < 0]
    outer.sort(key=lambda index: -abs(cv2.contourArea(rings[index])))
    return [(rings[index], holes.get(index, [])) for index in outer]


def _simpler(ring: _IntRing, tolerance: float) -> _IntRing:
    simple = cv2.approxPolyDP(ring, tolerance, closed=True)[:, 0]
    return (simple if len(simple) >= 3 else cv2.approxPolyDP(ring, 0, closed=True)[:, 0]).astype(np.int32)


def _joined(rings: list[_IntRing]) -> _IntRing:
    """One outline through all rings: each further ring is entered and left at the corner that is nearest to what is joined already."""
    outline = rings[0]
    for ring in rings[1:]:
        distances = ((outline[:, None, :].astype(np.int64) - ring[None, :, :]) ** 2).sum(axis=2)
        at, start = np.unravel_index(int(distances.argmin()), distances.shape)
        loop = np.concatenate([ring[start:], ring[: start + 1]])
        outline = np.concatenate([outline[: at + 1], loop, outline[at:]])
    return outline


def _holds(polygons: list[list[float]], mask: BoolMask, tolerance: float) -> bool:
    """Whether COCO's own tools fill the outlines to the mask, up to pixels that lie within the tolerance of its edge."""
    height, width = mask.shape
    if any(len(polygon) < 6 for polygon in polygons):
        return False
    code = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    filled = coco_rle_to_mask({"size": [height, width], "counts": code["counts"].decode("ascii")})
    wrong = filled ^ mask
    if not wrong.any():
        return True
    if tolerance == 0 or not filled.any():
        return False
    # A pixel's distance to the nearest one of the other kind, which is 1 at the edge itself.
    to_edge = np.where(mask, _distance(mask), _distance(~mask))
    return bool(to_edge[wrong].max() <= math.ceil(tolerance) + 1)


def _distance(mask: BoolMask) -> npt.NDArray[np.float32]:
    # A border of the other kind would be an edge that the mask does not have, so the image ends without one.
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float32)
