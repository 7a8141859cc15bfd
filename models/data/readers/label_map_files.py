"""COCO-Stuff and ADE20K: the label of every pixel in PNG files; the layouts are described in :mod:`models.data.readers.label_maps`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.readers.gathering import Gathering
from models.data.readers.label_maps import LabelMapFolder, MappedImage
from models.data.readers.source import DatasetReadError, DatasetSource
from models.data.sample import Category, Target
from models.masks import mask_to_coco_rle
from models.semantic_metrics import IGNORED, LabelMap
from models.types import Segment

UNLABELLED_ID = 0
"""Of the target that covers all unlabelled pixels; those of labels have the label's number."""


def read(source: DatasetSource, gathering: Gathering) -> tuple[Category, ...]:
    """Gather all label maps, or those of the split that the source names: one target per label on an image, and a crowd without a label
    where nobody said what there is.

    Raises:
        DatasetReadError: the folder is of neither layout, or holds no label map.
    """
    folder = LabelMapFolder(source.path)
    images = list(folder.images(source.split))
    for number, one in enumerate(images, start=1):
        _add(source, folder, one, gathering)
        source.on_progress(folder.path.name, number, len(images))
    if not len(gathering):
        raise DatasetReadError(
            f"{folder.path / 'annotations'} holds no label map that can be used; expected PNG files in folders of splits"
        )
    return folder.categories


def _add(source: DatasetSource, folder: LabelMapFolder, one: MappedImage, gathering: Gathering) -> None:
    name = f"{one.split}/{one.image.name}"
    try:
        labels = folder.read_labels(one.labels)
    except ValueError as error:
        source.lost("bad-png", str(error), image=name)
        return
    height, width = labels.shape
    gathering.add_image(name, name, (height, width), one.split)
    if not one.image.is_file():
        source.changed("no-image", f"{one.image} is missing", "its labels come in; put the image there", image=name)
    add_label_map(gathering, name, labels, folder.categories)


def add_label_map(gathering: Gathering, image_id: str, labels: LabelMap, categories: Sequence[Category]) -> None:
    """Gather the targets of one image.

    Args:
        gathering: has the image already.
        image_id: of the image.
        labels: int32 ``[H, W]``: 1 + place of the category, :data:`models.semantic_metrics.IGNORED` where unlabelled.
        categories: in the order of their places.
    """
    for place in np.unique(labels).tolist():
        mask = labels == place
        if place == IGNORED:
            gathering.add_target(image_id, Target(UNLABELLED_ID, mask_to_coco_rle(mask), iscrowd=True))
        else:
            category = categories[place - 1]
            gathering.add_target(image_id, Target(category.id, mask_to_coco_rle(mask), Segment("", mask, 1.0).box, category.name))
