"""COCO panoptic: ``panoptic_val2017.json`` and the folder ``panoptic_val2017`` of PNG files whose colours are the ids of segments.

Source of the format: https://cocodataset.org/#format-data, "panoptic segmentation": id = red + 256 green + 65536 blue, 0 is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.readers import coco
from models.data.readers.gathering import Gathering, is_number, is_plain_path
from models.data.readers.json_file import JsonFile
from models.data.readers.source import DatasetReadError, DatasetSource, shown
from models.data.sample import Category, Target
from models.masks import mask_to_coco_rle
from models.types import Segment

Ids = npt.NDArray[np.int64]


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather all images and their segments, things and stuff.

    Raises:
        DatasetReadError: the file holds no image, or its folder of PNG files is missing.
    """
    folder = source.path.with_suffix("")
    if not folder.is_dir():
        raise DatasetReadError(f"{folder} is missing; expected the PNG files of {source.path.name} in a folder of its name beside it")
    file = JsonFile(source, source.path)
    categories = coco.read_categories(source, file)
    coco.read_images(source, file, gathering)
    for annotation in file.items("annotations"):
        _add_segments(source, annotation, folder, gathering, categories)
    file.report()
    return tuple(categories.values())


def _add_segments(source: DatasetSource, annotation: Any, folder: Path, gathering: Gathering, categories: Mapping[int, Category]) -> None:
    """Gather all segments of one image."""
    if not isinstance(annotation, dict) or not isinstance(annotation.get("segments_info"), list):
        source.lost("bad-annotation", f"found {shown(annotation)} without segments_info, expected an annotation of panoptic COCO")
        return
    image_id = annotation.get("image_id")
    size_hw = gathering.size_of(image_id)
    if image_id is None or size_hw is None:
        source.lost("unknown-image", "the annotation's image is not among the images of the file", image=shown(image_id))
        return
    try:
        ids = read_ids(folder, annotation.get("file_name"), size_hw)
    except ValueError as error:
        source.lost("bad-png", str(error), "the image comes in without its segments", image=image_id)
        return
    left: set[int] = set(np.unique(ids).tolist()) - {0}
    for segment in annotation["segments_info"]:
        segment_id = segment.get("id") if isinstance(segment, dict) else None
        if not is_number(segment_id) or segment_id not in left:
            what = f"segment {shown(segment_id)} has no pixel in the PNG, or is listed twice"
            source.lost("empty-mask", what, image=image_id, segment=shown(segment_id))
            continue
        left.remove(segment_id)
        label = coco.label_of(source, segment.get("category_id"), categories, image=image_id, segment=segment_id)
        mask = ids == segment_id
        box = Segment("", mask, 1.0).box
        gathering.add_target(image_id, Target(segment_id, mask_to_coco_rle(mask), box, label, bool(segment.get("iscrowd", 0))))
    for segment_id in sorted(left):
        source.lost("unknown-segment", "the PNG has pixels of a segment that is not listed", image=image_id, segment=segment_id)


def read_ids(folder: Path, name: Any, size_hw: tuple[int, int]) -> Ids:
    """The segment of each pixel, int64 ``[H, W]``.

    Raises:
        ValueError: the file is missing, no PNG, or of another size than the image.
    """
    if not is_plain_path(name):
        raise ValueError(f"the PNG is named {shown(name)}, expected a path inside {folder.name}")
    try:
        with Image.open(folder / name, formats=["PNG"]) as picture:
            if (picture.height, picture.width) != size_hw:
                raise ValueError(f"{name} has {picture.height} x {picture.width} pixels, the image {size_hw[0]} x {size_hw[1]}")
            colours = np.asarray(picture.convert("RGB"), np.int64)
    except FileNotFoundError as error:
        raise ValueError(f"{name} is missing in {folder.name}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is no readable PNG ({error})") from error
    ids: Ids = colours @ np.array([1, 256, 65536])
    return ids
