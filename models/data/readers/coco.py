"""COCO instances: ``{"images": [...], "annotations": [...], "categories": [...]}``, also the frame of other formats.

Source of the format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.data.readers.gathering import Gathering, is_number
from models.data.readers.json_file import JsonFile
from models.data.readers.segmentation import covers_nothing, segmentation_to_rle
from models.data.readers.source import DatasetReadError, DatasetSource, shown
from models.data.sample import Category, Target
from models.masks import CocoRle
from models.types import Box


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather all images and annotations of one file.

    Raises:
        DatasetReadError: the file holds no image.
    """
    file = JsonFile(source, source.path)
    categories = read_categories(source, file)
    read_images(source, file, gathering)
    read_annotations(source, file, gathering, categories)
    file.report()
    return tuple(categories.values())


def read_categories(source: DatasetSource, file: JsonFile) -> dict[int, Category]:
    """Categories by id, in the order of the file."""
    found: dict[int, Category] = {}
    names: set[str] = set()
    for entry in file.items("categories"):
        if not isinstance(entry, dict) or not is_number(entry.get("id")) or not isinstance(entry.get("name"), str):
            source.lost("bad-category", f"found {shown(entry)}, expected a category with a whole number as id and a name")
        elif entry["id"] in found or entry["name"] in names:
            what = f"{entry['name']!r} has the id or the name of a category before"
            source.lost("duplicate-id", what, "annotations of its id get the first one's name, or none", category=entry["id"])
        else:
            found[entry["id"]] = Category(entry["id"], entry["name"], bool(entry.get("isthing", True)))
            names.add(entry["name"])
    if not found:
        source.changed("no-categories", "the file lists no category", "everything comes in without labels", file=file.path.name)
    return found


def read_images(source: DatasetSource, file: JsonFile, gathering: Gathering) -> None:
    """Gather the images.

    Raises:
        DatasetReadError: there is none.
    """
    split = source.split or split_in_name(file.path)
    for image in file.items("images"):
        if isinstance(image, dict):
            gathering.add_image(image.get("id"), image.get("file_name"), (image.get("height"), image.get("width")), split)
        else:
            source.lost("bad-image", f"found {shown(image)}, expected an image")
    if not len(gathering):
        file.report()
        raise DatasetReadError(f"{file.path} lists no image that can be used; expected the field images of a COCO file")


def read_annotations(source: DatasetSource, file: JsonFile, gathering: Gathering, categories: Mapping[int, Category]) -> None:
    """Gather the annotations of images that are there already."""
    count = 0
    for count, annotation in enumerate(file.items("annotations"), 1):  # noqa: B007 - how many there were
        if not isinstance(annotation, dict) or not is_number(annotation.get("id")):
            source.lost("bad-annotation", f"found {shown(annotation)}, expected an annotation with a whole number as id")
            continue
        _Annotation(source, annotation).add_to(gathering, categories)
    if not count:
        source.changed("no-annotations", "the file holds no annotation", "all images come in without any", file=file.path.name)


class _Annotation:
    """One entry of ``annotations``."""

    def __init__(self, source: DatasetSource, entry: dict[str, Any]) -> None:
        self._source, self._entry = source, entry
        self._where = {"image": shown(entry.get("image_id")), "annotation": entry["id"]}

    def add_to(self, gathering: Gathering, categories: Mapping[int, Category]) -> None:
        image_id = self._entry.get("image_id")
        size_hw = gathering.size_of(image_id)
        if image_id is None or size_hw is None:
            self._source.lost("unknown-image", "the annotation's image is not among the images of the file", **self._where)
            return
        box = self._box()
        try:
            rle = self._mask(size_hw, has_box=box is not None)
            target = Target(self._entry["id"], rle, box, self._label(categories), bool(self._entry.get("iscrowd", 0)))
        except ValueError as error:
            self._source.lost("bad-mask", str(error), **self._where)
            return
        self._check_area()
        gathering.add_target(image_id, target)

    def _mask(self, size_hw: tuple[int, int], *, has_box: bool) -> CocoRle | None:
        segmentation = self._entry.get("segmentation")
        if segmentation in (None, []) and has_box:
            self._source.changed("no-mask", "the annotation has a box, but no mask", "kept as a box", **self._where)
            return None
        rle, mistakes = segmentation_to_rle(segmentation, size_hw)
        for mistake in mistakes:
            self._source.changed("bad-polygon", mistake, "the other polygons are kept", **self._where)
        if covers_nothing(rle):
            self._source.changed("empty-mask", "the mask covers no pixel", "kept as it is", **self._where)
        return rle

    def _box(self) -> Box | None:
        """``bbox`` as corners, if it is one with an area."""
        bbox = self._entry.get("bbox")
        if bbox is None:
            return None
        try:
            return xywh_to_box(bbox)
        except ValueError as error:
            self._source.changed("bad-box", str(error), "kept without its box", **self._where)
            return None

    def _label(self, categories: Mapping[int, Category]) -> str | None:
        return label_of(self._source, self._entry.get("category_id"), categories, **self._where)

    def _check_area(self) -> None:
        area = self._entry.get("area", 0)
        if not isinstance(area, (int, float)) or not area >= 0:
            what = f"the area is {shown(area)}, expected a number of at least 0"
            self._source.changed("bad-area", what, "kept, areas are counted from masks here", **self._where)


def label_of(source: DatasetSource, category_id: Any, categories: Mapping[int, Category], **where: Any) -> str | None:
    """The name of a category; one that is not there is reported."""
    category = categories.get(category_id) if isinstance(category_id, int) else None
    if category is None and categories:
        what = f"category {shown(category_id)} is not among the categories of the file"
        source.changed("unknown-category", what, "kept without a label", **where)
    return category.name if category else None


def xywh_to_box(bbox: Any) -> Box:
    """Corners from left, top, width and height.

    Raises:
        ValueError: not four numbers, or without area.
    """
    is_box = isinstance(bbox, (list, tuple)) and len(bbox) == 4 and all(isinstance(x, (int, float)) and math.isfinite(x) for x in bbox)
    if not is_box or min(bbox[2:]) <= 0:
        raise ValueError(f"the box is {str(bbox)[:80]}, expected [left, top, width, height] with a width and height above 0")
    x, y, width, height = map(float, bbox)
    return x, y, x + width, y + height


def split_in_name(path: Path) -> str | None:
    """The split that a file's name tells: ``instances_train2017.json`` is of ``train``."""
    match = re.search(r"(?<![a-z])(train|minival|miniv|val|testA|testB|test)(?![a-z])", path.stem)
    return match[1] if match else None
