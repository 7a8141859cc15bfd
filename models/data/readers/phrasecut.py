"""PhraseCut: ``refer_val.json``, phrases with the polygons of all that they refer to, and ``image_data_split*.json``.

Source of the format: the README of https://github.com/ChenyunWu/PhraseCutDataset. Official masks are filled by Pillow, with corners cut
to whole pixels and the outline included, so they are here. The kind of an expression is the type of its phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from models.data.readers.coco import xywh_to_box
from models.data.readers.gathering import Gathering
from models.data.readers.json_file import JsonFile
from models.data.readers.source import DatasetReadError, DatasetSource, shown
from models.data.sample import Category, Expression, Target
from models.masks import mask_to_coco_rle
from models.types import BoolMask, Box

_TASKS = re.compile(r"refer_(?!input_)(\w+)\.json")
_FARTHEST = 1e6
"""Pixels; corners beyond are a mistake."""


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather the phrases of one file, or of all files ``refer_*.json`` of a folder.

    Raises:
        DatasetReadError: there is no such file, or no list of images beside it.
    """
    files = task_files(source.path)
    folder = files[0].parent
    splits = {source.split or _split_of(path) for path in files}
    _read_images(source, folder, splits, gathering)
    reader = _Tasks(source, gathering)
    for path in files:
        file = JsonFile(source, path)
        for task in file.items(None):
            reader.add(task, source.split or _split_of(path))
        file.report()
    return tuple(Category(number, name) for name, number in reader.names.items())


def task_files(path: Path) -> list[Path]:
    """The files of phrases that a path means: itself, or those in the folder.

    Raises:
        DatasetReadError: there is none.
    """
    found = [path] if path.is_file() else sorted(file for file in path.glob("refer_*.json") if _TASKS.fullmatch(file.name))
    if not found:
        raise DatasetReadError(f"{path} holds no refer_*.json; expected the files of PhraseCut, such as refer_val.json")
    return found


def _split_of(path: Path) -> str:
    match = _TASKS.fullmatch(path.name)
    return match[1] if match else path.stem


def _read_images(source: DatasetSource, folder: Path, splits: set[str], gathering: Gathering) -> None:
    lists = sorted(folder.glob("image_data_split*.json"))
    if not lists:
        raise DatasetReadError(f"{folder} holds no image_data_split.json, which tells the sizes of the images; get it with the phrases")
    file = JsonFile(source, lists[0])
    for image in file.items(None):
        if not isinstance(image, dict):
            source.lost("bad-image", f"found {shown(image)}, expected an image")
        elif image.get("split") in splits:
            name = f"{shown(image.get('image_id'))}.jpg"
            gathering.add_image(image.get("image_id"), name, (image.get("height"), image.get("width")), image["split"])
    file.report()


class _Tasks:
    """Phrases one after the other; ``names`` are the category names so far, numbered."""

    def __init__(self, source: DatasetSource, gathering: Gathering) -> None:
        self._source, self._gathering = source, gathering
        self.names: dict[str, int] = {}
        self._targets = 0

    def add(self, task: Any, split: str) -> None:
        """Gather one phrase; if one of the things that it refers to cannot be read, the phrase would mean something else: left out."""
        if not isinstance(task, dict) or not isinstance(task.get("phrase"), str):
            self._source.lost("bad-reference", f"found {shown(task)} without a phrase, expected a task of PhraseCut")
            return
        where = {"image": shown(task.get("image_id")), "task": shown(task.get("task_id"))}
        size_hw = self._gathering.size_of(task.get("image_id"))
        if size_hw is None:
            self._source.lost("unknown-image", f"{task['phrase']!r} is about an image that is not listed", **where)
            return
        structure = task["phrase_structure"] if isinstance(task.get("phrase_structure"), dict) else {}
        name = structure.get("name")
        label = name if isinstance(name, str) and name else None
        try:
            targets = list(self._instances(task, size_hw, label))
        except (TypeError, ValueError) as error:
            self._source.lost("bad-mask", str(error), action="the phrase is left out", **where)
            return
        if label:
            self.names.setdefault(label, len(self.names) + 1)
        for target in targets:
            self._gathering.add_target(task["image_id"], target)
        kind, number = structure.get("type"), task.get("task_id")
        ids = tuple(target.id for target in targets)
        said = Expression(task["phrase"], ids, kind if isinstance(kind, str) else None, split, number if isinstance(number, str) else None)
        self._gathering.add_expression(task["image_id"], said)

    def _instances(self, task: dict[str, Any], size_hw: tuple[int, int], label: str | None) -> Iterator[Target]:
        instances, boxes = task.get("Polygons"), task.get("instance_boxes")
        if not isinstance(instances, list) or not instances:
            raise ValueError(f"its Polygons are {shown(instances)}, expected a list with one entry per thing")
        boxes = boxes if isinstance(boxes, list) and len(boxes) == len(instances) else [None] * len(instances)
        for polygons, bbox in zip(instances, boxes, strict=True):
            mask = polygons_to_mask(polygons, size_hw)
            self._targets += 1
            yield Target(self._targets, mask_to_coco_rle(mask), self._box(bbox, task), label)

    def _box(self, bbox: Any, task: dict[str, Any]) -> Box | None:
        try:
            return None if bbox is None else xywh_to_box(bbox)
        except ValueError as error:
            self._source.changed("bad-box", str(error), "kept without its box", task=shown(task.get("task_id")))
            return None


def polygons_to_mask(polygons: Any, size_hw: tuple[int, int]) -> BoolMask:
    """One thing's polygons, united, bool ``[H, W]``.

    Raises:
        ValueError: not a list of polygons, each a list of at least 3 points ``[x, y]``.
    """
    if not isinstance(polygons, list) or not polygons:
        raise ValueError(f"the polygons of a thing are {shown(polygons)}, expected a list of them")
    picture = Image.new("L", size_hw[::-1], 0)
    draw = ImageDraw.Draw(picture)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 3:
            found = f"{len(polygon)} points" if isinstance(polygon, list) else shown(polygon)
            raise ValueError(f"a polygon has {found}, expected at least 3")
        points = np.array(polygon, np.float64)
        if points.shape != (len(polygon), 2) or not (np.abs(points) <= _FARTHEST).all():
            raise ValueError("a polygon has a point that is no pair [x, y] of numbers in pixels")
        draw.polygon([(int(x), int(y)) for x, y in points], outline=1, fill=1)
    return np.asarray(picture) > 0
