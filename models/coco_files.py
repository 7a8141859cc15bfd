"""Two COCO files against each other: objects that were found, or exported, and the ground truth. No model takes part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools

from models.figures import rounded
from models.instance_metrics import evaluate_instances
from models.masks import CocoRle, coco_rle_to_runs, runs_to_coco_rle

_LEAST_NUMBERS = 6
_FARTHEST = 4
"""Largest coordinate of a polygon, in sides of the image; the tool that fills it walks all the way there."""


Sizes = Mapping[Any, tuple[int, int] | None]
"""Height and width of each image by its id, ``None`` where the file does not say."""


class CocoFileError(ValueError):
    """A file that is not what COCO's tools read, or one that does not fit the other."""


def evaluate_coco_files(truth_path: Path, found_path: Path) -> dict[str, Any]:
    """Average precision and recall of the masks of one file against those of another.

    Args:
        truth_path: a COCO data set with ``images``, ``annotations`` and ``categories``.
        found_path: COCO results (a list), or a data set too, whose annotations may have a ``score`` (else 1).

    Returns:
        The figures of :class:`models.instance_metrics.InstanceScores` as JSON values, with ``n_images`` and ``n_found``.

    Raises:
        CocoFileError: a file cannot be read, lacks something, or speaks of other images or categories than the other.
    """
    truth, found = _read(truth_path), _read(found_path)
    if not isinstance(truth, dict):
        raise CocoFileError(f"{truth_path} is a list; the ground truth must be a COCO data set with images, annotations and categories")
    sizes = _sizes(truth, truth_path)
    categories = {one["id"]: one["name"] for one in truth["categories"]}
    if isinstance(found, dict):
        _check_same_world(found, found_path, truth, categories)
        found = [{"score": 1.0, **one} for one in found.get("annotations", [])]
    annotations = [_with_rle(one, sizes, categories, truth_path) for one in truth["annotations"]]
    answers = [_with_rle(one, sizes, categories, found_path) for one in found]
    for place, one in enumerate(answers):
        if not isinstance(one.get("score"), int | float):
            raise CocoFileError(f"{found_path}: result {place} has no score; COCO results need one each")
    scores, _ = evaluate_instances({**truth, "annotations": annotations}, answers)
    return {"n_images": len(sizes), "n_found": len(answers), **rounded(asdict(scores))}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CocoFileError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise CocoFileError(f"{path} is no JSON ({error}); expected a COCO file") from error


def _sizes(truth: Mapping[str, Any], path: Path) -> Sizes:
    try:
        sizes = {image["id"]: _size_of(image) for image in truth["images"]}
        if not all(isinstance(one["id"], int) and one["name"] for one in truth["categories"]):
            raise CocoFileError(f"{path}: a category has no name, or an id that is no integer")
        iter(truth["annotations"])
    except (KeyError, TypeError) as error:
        raise CocoFileError(f"{path} is no COCO data set ({error!r}); it needs images, annotations and categories") from error
    return sizes


def _size_of(image: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _check_same_world(found: Mapping[str, Any], path: Path, truth: Mapping[str, Any], categories: Mapping[int, str]) -> None:
    names = {image["id"]: image.get("file_name") for image in truth["images"]}
    for image in found.get("images", []):
        if image["id"] in names and image.get("file_name") != names[image["id"]]:
            theirs, ours = image.get("file_name"), names[image["id"]]
            raise CocoFileError(f"{path}: image {image['id']} is {theirs!r}, in the ground truth {ours!r}; the files need the same ids")
    for one in found.get("categories", []):
        if one["id"] in categories and one["name"] != categories[one["id"]]:
            ours = categories[one["id"]]
            raise CocoFileError(
                f"{path}: category {one['id']} is {one['name']!r}, in the ground truth {ours!r}; the files need the same ids"
            )


def _with_rle(annotation: Any, sizes: Sizes, categories: Mapping[int, str], path: Path) -> dict[str, Any]:
    """The annotation with its mask as checked RLE, and with an area."""
    try:
        image_id, category_id, segmentation = annotation["image_id"], annotation["category_id"], annotation["segmentation"]
    except (KeyError, TypeError) as error:
        raise CocoFileError(f"{path}: an annotation lacks {error}; expected image_id, category_id and segmentation") from error
    where = f"{path}: annotation {annotation.get('id', '')} of image {image_id}"
    if image_id not in sizes:
        raise CocoFileError(f"{where}: the ground truth has no such image; the files need the same ids")
    if category_id not in categories:
        raise CocoFileError(f"{where}: the ground truth has no category {category_id}; it has {_few(categories)}")
    size_hw = sizes[image_id]
    if size_hw is None:
        raise CocoFileError(f"{where}: the ground truth does not say the height and width of this image; they are needed where masks are")
    try:
        rle = _to_rle(segmentation, size_hw)
    except (KeyError, TypeError, ValueError) as error:
        raise CocoFileError(f"{where}: the segmentation cannot be read: {error}") from error
    area = annotation.get("area", int(coco_rle_to_runs(rle)[1::2].sum()))
    return {"iscrowd": 0, **annotation, "segmentation": rle, "area": area}


def _to_rle(segmentation: Any, size_hw: tuple[int, int]) -> CocoRle:
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, size_hw)
    if tuple(segmentation["size"]) != size_hw:
        raise ValueError(f"the mask is {segmentation['size']}, the image {list(size_hw)} (height, width)")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return runs_to_coco_rle(np.array(counts, np.int64), size_hw)
    rle: CocoRle = {"size": [*size_hw], "counts": counts}
    coco_rle_to_runs(rle)
    return rle


def _from_polygons(polygons: list[Any], size_hw: tuple[int, int]) -> CocoRle:
    farthest = _FARTHEST * max(size_hw)
    for polygon in polygons:
        corners = np.array(polygon, float)
        if corners.ndim != 1 or corners.size < _LEAST_NUMBERS or corners.size % 2 or not (np.abs(corners) <= farthest).all():
            raise ValueError("a polygon must be a list x, y, x, y, ... of at least three corners on or near the image")
    parts = mask_tools.frPyObjects([[float(number) for number in polygon] for polygon in polygons], *size_hw)
    merged = mask_tools.merge(parts)
    return {"size": [*size_hw], "counts": merged["counts"].decode("ascii")}


def _few(categories: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in list(categories.items())[:5]) + (", ..." if len(categories) > 5 else "")
