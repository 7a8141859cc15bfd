"""Formats with a file per image: panoptic and semantic PNG, and YOLO's text files. A painter takes the masks of one image in turn.

Where masks overlap, a pixel of a PNG belongs to the last one, which lies on top in Label Studio too; what is lost so is told.

YOLO's files have one outline per object, so parts and holes are joined by seams (:mod:`backend.export.outlines`). They are written here,
as libraries lose masks on the way: ``supervision`` writes every ring as an object, those of holes too, and the converter of
``ultralytics`` outer rings alone.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.export.image_sizes import Size
from backend.export.outlines import joined_outline
from backend.export.records import ConvertOptions, MaskRecord, Painted
from backend.findings import Finding, Place
from models import BoolMask

_YOLO_DECIMALS = 6


class Painter(Protocol):
    """Takes the masks of one image, then gives its file."""

    def add(self, record: MaskRecord, mask: BoolMask, where: Place) -> None:
        """Take the next mask."""

    def finish(self) -> Painted:
        """The file, once all masks are in."""


class _Canvas:
    """Which mask each pixel belongs to: its number in the order of the result, from 1; 0 for none."""

    def __init__(self, size_hw: Size) -> None:
        self.owners: npt.NDArray[np.int32] = np.zeros(size_hw, dtype=np.int32)
        self.records: list[tuple[MaskRecord, Place]] = []

    def add(self, record: MaskRecord, mask: BoolMask, where: Place) -> None:
        self.records.append((record, where))
        self.owners[mask] = len(self.records)

    def visible_areas(self) -> npt.NDArray[np.int64]:
        return np.bincount(self.owners.ravel(), minlength=len(self.records) + 1)

    def findings(self, areas: npt.NDArray[np.int64]) -> list[Finding]:
        told = []
        for number, (record, where) in enumerate(self.records, 1):
            seen = int(areas[number])
            if seen == 0:
                what = "all its pixels lie under other masks, and a pixel can belong to one"
                told.append(Finding("error", "hidden", where, what, "left out of the picture; export COCO to keep it"))
            elif seen < record.area:
                what = f"{record.area - seen} of its {record.area} pixels lie under other masks, and a pixel can belong to one"
                told.append(Finding("warning", "overlap", where, what, "those are given to the masks on top"))
        return told


class PanopticPainter(_Canvas):
    """COCO's panoptic PNG: the number of its segment in every pixel, as red + 256 green + 65536 blue."""

    def finish(self) -> Painted:
        areas = self.visible_areas()
        height, width = self.owners.shape
        colours = self.owners.astype("<u4").view(np.uint8).reshape(height, width, 4)[..., :3]
        segments = [
            {"id": number, "category_id": record.category_id, "area": int(areas[number])}
            | {"bbox": _box(self.owners == number), "iscrowd": int(record.is_crowd), "attributes": record.attributes}
            for number, (record, _) in enumerate(self.records, 1)
            if areas[number]
        ]
        return Painted(_png(np.ascontiguousarray(colours)), segments, self.findings(areas))


class SemanticPainter(_Canvas):
    """The category id in every pixel, 0 for none: 8 bits, or 16 where the project has more than 255 categories."""

    def __init__(self, size_hw: Size, categories: int) -> None:
        super().__init__(size_hw)
        self._dtype = np.uint8 if categories <= 255 else np.uint16

    def finish(self) -> Painted:
        categories = np.array([0, *(record.category_id for record, _ in self.records)], dtype=self._dtype)
        return Painted(_png(categories[self.owners]), [], self.findings(self.visible_areas()))


class YoloPainter:
    """One line per object: its class, counted from 0, then the corners of its outline as shares of width and height."""

    def __init__(self, size_hw: Size, tolerance: float) -> None:
        self._wh = np.array(size_hw[::-1], dtype=np.float64)
        self._tolerance = tolerance
        self._lines: list[str] = []

    def add(self, record: MaskRecord, mask: BoolMask, where: Place) -> None:
        del where  # an outline can hold any mask, so there is nothing to tell
        shares = joined_outline(mask, self._tolerance) / self._wh
        corners = " ".join(f"{share:.{_YOLO_DECIMALS}f}" for share in shares.ravel())
        self._lines.append(f"{record.category_id - 1} {corners}\n")

    def finish(self) -> Painted:
        return Painted("".join(self._lines).encode())


def new_painter(size_hw: Size, options: ConvertOptions) -> Painter | None:
    """The painter of an image; ``None`` for a format without files per image."""
    makers: dict[str, Callable[[], Painter]] = {
        "panoptic": lambda: PanopticPainter(size_hw),
        "semantic": lambda: SemanticPainter(size_hw, len(options.scheme.categories)),
        "yolo": lambda: YoloPainter(size_hw, options.tolerance),
    }
    return makers[options.format]() if options.format in makers else None


def _png(pixels: npt.NDArray[Any]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _box(mask: BoolMask) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
