"""Batches of photographs whose every pixel is labelled, in the layouts of COCO-Stuff and ADE20K: square crops, as the base is trained."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image

from models.data.readers.label_maps import LabelMapFolder, MappedImage
from models.preprocess import clip_image, sam_image, sam_letterbox
from models.semantic_metrics import LabelMap
from models.ssp_sam.config import SspSamConfig
from models.training.semantic_batches import SemanticBatch
from models.types import RgbImage

JITTER = 0.2
"""Largest relative change of brightness and contrast."""


class LabelMapSampler:
    """Draws crops, mirrored half of the time, from the images of one split.

    A crop is a square of the shorter side, at a random place (spec 5.8), so that it fills both canvases. Unlabelled pixels count as
    nothing, as in the base.

    Args:
        folder: the set.
        split: name of its folder of images.
        encoders: tell the sizes of both canvases.

    Raises:
        models.data.readers.DatasetReadError: there is no such split.
        ValueError: it holds no image.
    """

    def __init__(self, folder: LabelMapFolder, split: str, encoders: SspSamConfig) -> None:
        self._folder = folder
        self._images = [one for one in folder.images(split) if one.image.is_file()]
        self._sides = encoders.clip.image_size, encoders.sam.image_size
        if not self._images:
            raise ValueError(f"{folder.path / 'images' / split} holds no image of a label map; put the image files there")

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, rng: np.random.Generator, size: int) -> SemanticBatch:
        """A batch of ``size`` crops."""
        clip_side, sam_side = self._sides
        crops = [self._crop(self._images[int(number)], rng) for number in rng.integers(len(self._images), size=size)]
        square = sam_letterbox((clip_side, clip_side), clip_side)
        return SemanticBatch(
            torch.stack([clip_image(_resized(image, clip_side), square) for image, _ in crops]),
            torch.stack([sam_image(_resized(image, sam_side), sam_letterbox((sam_side, sam_side), sam_side)) for image, _ in crops]),
            torch.stack([_label_numbers(labels, clip_side) for _, labels in crops]),
            ((clip_side, clip_side),) * size,
        )

    def _crop(self, one: MappedImage, rng: np.random.Generator) -> tuple[RgbImage, LabelMap]:
        with Image.open(one.image) as picture:
            image: RgbImage = np.asarray(picture.convert("RGB"))
        labels = self._folder.read_labels(one.labels)
        if image.shape[:2] != labels.shape:
            raise ValueError(f"{one.image} has {image.shape[:2]} pixels (height, width), its label map {labels.shape}; mend or remove them")
        side = min(labels.shape)
        top, left = (int(rng.integers(length - side + 1)) for length in labels.shape)
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        part = slice(top, top + side), slice(left, left + side)
        return _jittered(image[part][:, flip], rng), labels[part][:, flip]


def _resized(image: RgbImage, side: int) -> RgbImage:
    interpolation = cv2.INTER_AREA if side < len(image) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=interpolation), np.uint8)


def _label_numbers(labels: LabelMap, side: int) -> torch.Tensor:
    nearest = cv2.resize(np.ascontiguousarray(labels), (side, side), interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(np.maximum(nearest, 0).astype(np.int64))


def _jittered(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    brightness, contrast = rng.uniform(1 - JITTER, 1 + JITTER, 2)
    mean = image.mean()
    return np.asarray(np.clip(((image - mean) * contrast + mean) * brightness, 0, 255), np.uint8)
