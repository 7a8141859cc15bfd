"""COCO files as values: rectangles on a few images."""

from __future__ import annotations

from typing import Any

from models.masks import mask_to_coco_rle
from tests.factories import make_mask

SIDE = 64
LEFT, RIGHT, BELOW = (2, 2, 20, 20), (30, 2, 50, 20), (2, 30, 20, 60)
"""Boxes that do not overlap."""


def annotation(image: int, box: tuple[int, int, int, int], label: int = 1, **fields: Any) -> dict[str, Any]:
    """A rectangle on one image, without an id; with a ``score`` it is a result."""
    mask = make_mask((SIDE, SIDE), box)
    return {
        "image_id": image,
        "category_id": label,
        "segmentation": mask_to_coco_rle(mask),
        "area": int(mask.sum()),
        "iscrowd": 0,
        **fields,
    }


def dataset(annotations: list[dict[str, Any]], n_images: int = 2) -> dict[str, Any]:
    """A COCO data set of dogs and cats on square images."""
    return {
        "images": [{"id": number, "height": SIDE, "width": SIDE, "file_name": f"{number}.png"} for number in range(1, n_images + 1)],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }
