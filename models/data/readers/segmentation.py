"""COCO's ways of writing a mask (polygons, RLE, lists of RLE) to one compressed RLE.

Polygons are filled by COCO's own tools, so that masks are the official ones to the pixel; an RLE is kept exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from models.masks import CocoRle, coco_rle_to_runs, runs_to_coco_rle

_LONGEST_OUTLINE = 2_000_000
"""Pixels along one polygon; COCO's tools take some hundred bytes for each, wherever the corners lie."""

Size = tuple[int, int]


def segmentation_to_rle(segmentation: Any, size_hw: Size) -> tuple[CocoRle, list[str]]:
    """Read the field ``segmentation`` of a COCO annotation.

    Args:
        segmentation: a list of polygons ``[x0, y0, x1, y1, ...]`` in pixels, an RLE (compressed or not), or a list of them; parts are
            united.
        size_hw: height and width of the image.

    Returns:
        The compressed RLE of the mask, and what is wrong with parts that were left out.

    Raises:
        ValueError: no mask can be made of it.
    """
    if isinstance(segmentation, dict):
        return rle_to_compressed(segmentation, size_hw), []
    if not isinstance(segmentation, list) or not segmentation:
        found = "an empty list" if segmentation == [] else type(segmentation).__name__
        raise ValueError(f"the segmentation is {found}, expected polygons or an RLE")
    if all(isinstance(part, dict) for part in segmentation):
        return unite([rle_to_compressed(part, size_hw) for part in segmentation]), []
    is_flat = all(isinstance(part, (int, float)) for part in segmentation)
    return _fill([segmentation] if is_flat else segmentation, size_hw)


def rle_to_compressed(rle: dict[str, Any], size_hw: Size) -> CocoRle:
    """Check an RLE, compress it if it is not.

    Raises:
        ValueError: it is of another size than the image, or does not fill it exactly.
    """
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, (list, tuple)) or tuple(size) != size_hw:
        raise ValueError(f"the RLE is of size {size}, the image {list(size_hw)} (height, width)")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii")
    if isinstance(counts, str):
        compressed: CocoRle = {"size": [*size_hw], "counts": counts}
        coco_rle_to_runs(compressed)
        return compressed
    if not isinstance(counts, list) or not counts or not all(type(run) is int for run in counts):
        raise ValueError("the counts of the RLE are neither a text nor a list of whole numbers")
    try:
        runs = np.array(counts, np.int64)
    except OverflowError as error:
        raise ValueError("the counts of the RLE are larger than any image") from error
    return runs_to_coco_rle(runs, size_hw)


def unite(parts: list[CocoRle]) -> CocoRle:
    """One mask of several parts of the same size, which must be sound."""
    return parts[0] if len(parts) == 1 else _text_of(coco.merge(parts))


def covers_nothing(rle: CocoRle) -> bool:
    """Whether a sound mask has no pixel."""
    return not coco.area(rle)


def _fill(polygons: list[Any], size_hw: Size) -> tuple[CocoRle, list[str]]:
    sound: list[list[float]] = []
    mistakes: list[str] = []
    for number, polygon in enumerate(polygons, 1):
        try:
            _check_polygon(polygon)
        except (TypeError, ValueError, OverflowError) as error:
            mistakes.append(f"polygon {number} of {len(polygons)}: {error}")
        else:
            sound.append(polygon)
    if not sound:
        raise ValueError("; ".join(mistakes))
    parts = coco.frPyObjects(sound, *size_hw)
    return _text_of(parts[0] if len(parts) == 1 else coco.merge(parts)), mistakes


def _check_polygon(polygon: Any) -> None:
    if not isinstance(polygon, list):
        raise TypeError(f"found {type(polygon).__name__}, expected a list of numbers")
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(f"found {len(polygon)} numbers, expected the x and y of at least 3 points")
    corners: npt.NDArray[np.float64] = np.array(polygon, np.float64).reshape(-1, 2)
    length = np.abs(corners[1:] - corners[:-1]).max(axis=1).sum() + np.abs(corners[0] - corners[-1]).max()
    if not length <= _LONGEST_OUTLINE:  # also true for what is no number
        raise ValueError(f"its outline has {length:g} pixels, expected at most {_LONGEST_OUTLINE}")


def _text_of(rle: dict[str, Any]) -> CocoRle:
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}
