"""Segments to Label Studio's regions and back. Pure: no files, no network.

What each kind of region can hold: brush and bitmask any mask, exactly. Polygon: one outline, so a segment of several parts
becomes several regions, holes are filled and the outline is simplified. Rectangle: the smallest upright box.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from backend import bitmask, brush_rle
from backend.label_plan import OutputControl, OutputKind
from backend.shapes import Ring, ellipse_to_mask, mask_to_rings, polygon_to_mask, rectangle_to_ring
from models import Segment

ID_PREFIX = "wm-"
"""Every id made here begins so, which tells an accepted suggestion from a region that a person drew."""

_COVERED_FROM = 128
"""Least alpha that counts: the editor draws soft rims, whose outermost pixels are hardly visible."""

_TOLERANCE = 1.0
_TOLERANCE_SHARE = 0.001
"""Outlines are simplified by this share of the image's diagonal, at least by ``_TOLERANCE`` pixels."""

_SMALLEST_PART = 0.005
"""Parts of a segment below this share of its largest part are specks and get no polygon."""

_DECIMALS = 4
"""Of percentages in outlines: a hundredth of a pixel on the largest images."""

_MOST_POINTS = 100_000
_FARTHEST_PERCENT = 10_000.0

_Size = tuple[int, int]
_Mask = npt.NDArray[np.bool_]


class RegionError(ValueError):
    """A region from which no mask can be made."""


def segment_to_regions(
    segment: Segment, control: OutputControl, label: str, *, prompt: str | None, item_index: int | None = None
) -> list[dict[str, Any]]:
    """Turn a segment into regions of a control.

    Args:
        segment: what was found.
        control: decides the shape and the name in ``from_name``.
        label: what the regions carry; not used by controls without labels.
        prompt: the text that asked for the segment, kept in ``meta.text``, so that pairs of expression and mask can be learned from.
        item_index: place of the image in a list of images.

    Returns:
        One region; for polygons one per part of the segment. Each has an id of its own.
    """
    height, width = segment.size_hw
    kind = control.tag.lower()
    shared: dict[str, Any] = {
        "from_name": control.name,
        "to_name": control.to_name,
        "type": kind,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": round(float(segment.score), 4),
    }
    if prompt is not None:
        shared["meta"] = {"text": [prompt]}
    if item_index is not None:
        shared["item_index"] = item_index
    labels = {kind: [label]} if kind.endswith("labels") else {}
    return [{"id": f"{ID_PREFIX}{uuid.uuid4()}", **shared, "value": value | labels} for value in _VALUES_OF[control.kind](segment)]


def _brush_values(segment: Segment) -> list[dict[str, Any]]:
    return [{"format": "rle", "rle": brush_rle.encode(segment.mask)}]


def _bitmask_values(segment: Segment) -> list[dict[str, Any]]:
    return [{"imageDataURL": bitmask.encode(segment.mask)}]


def _polygon_values(segment: Segment) -> list[dict[str, Any]]:
    height, width = segment.size_hw
    tolerance = max(_TOLERANCE, _TOLERANCE_SHARE * math.hypot(height, width))
    rings = mask_to_rings(segment.mask, tolerance, _SMALLEST_PART)
    return [{"points": (ring * 100 / [width, height]).round(_DECIMALS).tolist(), "closed": True} for ring in rings]


def _rectangle_values(segment: Segment) -> list[dict[str, Any]]:
    height, width = segment.size_hw
    x0, y0, x1, y1 = segment.box
    x, y = 100 * x0 / width, 100 * y0 / height
    return [{"x": x, "y": y, "width": 100 * x1 / width - x, "height": 100 * y1 / height - y, "rotation": 0}]


_VALUES_OF: dict[OutputKind, Callable[[Segment], list[dict[str, Any]]]] = {
    "brush": _brush_values,
    "bitmask": _bitmask_values,
    "polygon": _polygon_values,
    "rectangle": _rectangle_values,
}


def region_to_mask(region: Mapping[str, Any], size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels that a region covers; what lies off the image is cut.

    Reads brush, bitmask, polygon, rectangle and ellipse regions, with and without labels. A soft pixel counts from half on. Where
    ``image_rotation`` says that the image was turned in the editor, only the view was: values are of the image as it is all the same.

    Args:
        region: as it stands in an annotation's or prediction's ``result``.
        size_hw: height and width of the image, turned as its EXIF orientation says.

    Returns:
        bool ``[H, W]``, perhaps without a true pixel.

    Raises:
        RegionError: another type of region, a value that cannot be read, or made for an image of another size.
    """
    if not isinstance(region, Mapping):
        raise RegionError(f"a region must be an object, found {type(region).__name__}; send an entry of an annotation's result")
    kind = str(region.get("type", "")).lower().removesuffix("labels")
    name = f"region {str(region.get('id', 'without id'))[:60]!r} ({str(region.get('type'))[:30]})"
    value = region.get("value")
    if kind not in _READERS:
        raise RegionError(f"{name} has no mask; expected the type of one of: {', '.join(_READERS)}")
    if not isinstance(value, Mapping):
        raise RegionError(f"{name} has no value; expected an object as Label Studio writes it")
    try:
        return _READERS[kind](value, size_hw)
    except ValueError as error:
        raise RegionError(f"{name} cannot be read: {error}") from error


def _read_brush(value: Mapping[str, Any], size_hw: _Size) -> _Mask:
    return brush_rle.decode(value.get("rle"), size_hw) >= _COVERED_FROM  # type: ignore[arg-type]


def _read_bitmask(value: Mapping[str, Any], size_hw: _Size) -> _Mask:
    return bitmask.decode(value.get("imageDataURL"), size_hw) >= _COVERED_FROM


def region_ring(region: Mapping[str, Any], size_hw: tuple[int, int]) -> Ring | None:
    """Corners of what was drawn, in pixels and not cut at the image's border: of a polygon or rectangle itself, of an ellipse its box.

    Args:
        region: one that :func:`region_to_mask` has read.
        size_hw: height and width of the image.

    Returns:
        ``None`` for brush and bitmask, which cannot reach beyond the image.
    """
    kind, value = str(region.get("type", "")).lower().removesuffix("labels"), region["value"]
    match kind:
        case "polygon":
            return _polygon_ring(value, size_hw)
        case "rectangle":
            return _rectangle_ring(value, size_hw)
        case "ellipse":
            centre, radii, rotation = _ellipse_parts(value, size_hw)
            angle = math.radians(rotation)
            half = np.hypot(radii * math.cos(angle), radii[::-1] * math.sin(angle))
            return np.array([centre - half, centre + half])
    return None


def _read_polygon(value: Mapping[str, Any], size_hw: _Size) -> _Mask:
    return polygon_to_mask(_polygon_ring(value, size_hw), size_hw)


def _polygon_ring(value: Mapping[str, Any], size_hw: _Size) -> Ring:
    points = value.get("points")
    if not isinstance(points, list) or not 3 <= len(points) <= _MOST_POINTS:
        found = len(points) if isinstance(points, list) else type(points).__name__
        raise ValueError(f"expected points, a list of 3 to {_MOST_POINTS} pairs, found {found}")
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise ValueError("expected every point to be a pair [x, y] in percent; draw the outline again")
    percent = np.array([[_percent(x, "x"), _percent(y, "y")] for x, y in points])
    ring: Ring = percent * _wh(size_hw) / 100
    return ring


def _read_rectangle(value: Mapping[str, Any], size_hw: _Size) -> _Mask:
    return polygon_to_mask(_rectangle_ring(value, size_hw), size_hw)


def _rectangle_ring(value: Mapping[str, Any], size_hw: _Size) -> Ring:
    corner = _pair(value, "x", "y") * _wh(size_hw) / 100
    sides = _pair(value, "width", "height") * _wh(size_hw) / 100
    if (sides < 0).any():
        raise ValueError("expected a width and height of at least 0 percent; draw the rectangle again")
    return rectangle_to_ring((corner[0], corner[1]), (sides[0], sides[1]), _percent(value.get("rotation", 0), "rotation"))


def _read_ellipse(value: Mapping[str, Any], size_hw: _Size) -> _Mask:
    centre, radii, rotation = _ellipse_parts(value, size_hw)
    return ellipse_to_mask((centre[0], centre[1]), (radii[0], radii[1]), rotation, size_hw)


def _ellipse_parts(value: Mapping[str, Any], size_hw: _Size) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Centre, radii and rotation, in pixels and degrees."""
    centre = _pair(value, "x", "y") * _wh(size_hw) / 100
    radii = _pair(value, "radiusX", "radiusY") * _wh(size_hw) / 100
    if (radii <= 0).any():
        raise ValueError("expected radiusX and radiusY above 0 percent; draw the ellipse again")
    return centre, radii, _percent(value.get("rotation", 0), "rotation")


_READERS: dict[str, Callable[[Mapping[str, Any], _Size], _Mask]] = {
    "brush": _read_brush,
    "bitmask": _read_bitmask,
    "polygon": _read_polygon,
    "rectangle": _read_rectangle,
    "ellipse": _read_ellipse,
}


def _wh(size_hw: _Size) -> npt.NDArray[np.float64]:
    return np.array(size_hw[::-1], dtype=np.float64)


def _pair(value: Mapping[str, Any], first: str, second: str) -> npt.NDArray[np.float64]:
    return np.array([_percent(value.get(first), first), _percent(value.get(second), second)])


def _percent(number: Any, name: str) -> float:
    """A number that may be a position, a size or an angle; far more than any screen holds is a mistake."""
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not is_number or not -_FARTHEST_PERCENT <= number <= _FARTHEST_PERCENT:
        found = "a number out of range" if is_number else type(number).__name__
        raise ValueError(f"expected {name} to be a number between -{_FARTHEST_PERCENT:g} and {_FARTHEST_PERCENT:g}, found {found}")
    return float(number)
