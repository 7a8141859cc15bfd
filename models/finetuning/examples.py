"""What there is to learn from: images of a data set folder with their expressions, and which of them measure instead of teach."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from models.data.dataset_folder import DatasetFolder
from models.data.sample import Expression, Sample, Target
from models.data.sample_scenes import SampleScene, load_sample_scenes
from models.digests import image_digest
from models.finetuning.views import AS_IT_IS, View, draw_views
from models.masks import mask_to_coco_rle
from models.types import RgbImage

logger = logging.getLogger(__name__)

VALIDATION = ("val", "validation")
"""Names of the split that measures."""
HELD_OUT_SHARE = 5
"""Without a validation split, one of so many training images measures instead."""

MeasuredOn = Literal["validation", "held-out training images", "training images"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image that can be read, with the expressions that can be used."""

    sample: Sample
    path: Path
    digest: str
    """Of the image's pixels."""
    view: View = AS_IT_IS
    """How the image is seen; ``sample`` holds the masks of the image as it lies on disk."""

    @property
    def key(self) -> str:
        """Tells it from all other examples, and from other views of its image."""
        return self.digest + self.view.key

    @property
    def is_in_words(self) -> bool:
        """Whether its project asks for one label after the other, in words, and never for a list."""
        return bool(self.sample.attributes.get("in_words"))

    def image(self) -> RgbImage:
        """The image as it is seen, uint8 ``[H, W, 3]``."""
        return self.view.image(read_image(self.path))

    def views(self, count: int) -> list[Example]:
        """So many views of it, each with the expressions that stay true; without those of which nothing can be said."""
        seen = []
        for view in draw_views(self.digest, count):
            said = tuple(one for one in self.sample.expressions if view.keeps_true(one.text))
            seen.append(replace(self, sample=replace(self.sample, expressions=said), view=view))
        return [one for one in seen if one.sample.expressions]


@dataclass(frozen=True, slots=True)
class Examples:
    """What teaches, what measures, and why the latter."""

    training: tuple[Example, ...]
    measuring: tuple[Example, ...]
    measured_on: MeasuredOn


def read_image(path: Path) -> RgbImage:
    """An image file as uint8 ``[H, W, 3]``, turned as it says; raises ``OSError`` or ``ValueError`` where it cannot be read."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def read_examples(folder: DatasetFolder) -> list[Example]:
    """Every image of a data set that can be learned from, in the order of their digests.

    An image that is gone, damaged or of another size than its masks is left out with a line in the log.
    """
    examples: dict[str, Example] = {}
    for sample in folder:
        if not sample.expressions:
            continue
        path = folder.image_path(sample)
        try:
            digest = _checked_digest(sample, path)
        except (OSError, ValueError) as error:
            logger.warning("%s is left out: %s", path, error)
            continue
        examples[digest] = Example(sample, path, digest)
    return [examples[digest] for digest in sorted(examples)]


def split_examples(examples: Sequence[Example]) -> Examples:
    """The images that teach and those that measure.

    The validation split measures. Where it is empty, every fifth training image (in the order of digests) measures in its place and does
    not teach; with fewer than five training images these measure themselves, and what is better there may only be remembered.
    """
    measuring = tuple(one for one in examples if one.sample.split in VALIDATION)
    training = tuple(one for one in examples if one.sample.split in (None, "train"))
    if measuring:
        return Examples(training, measuring, "validation")
    if len(training) < HELD_OUT_SHARE:
        return Examples(training, training, "training images")
    held_out, teaching = hold_out(training)
    return Examples(teaching, held_out, "held-out training images")


def hold_out(examples: Sequence[Example]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Every fifth example, which is to measure, and the others; of fewer than five none."""
    if len(examples) < HELD_OUT_SHARE:
        return (), tuple(examples)
    held_out = tuple(examples[::HELD_OUT_SHARE])
    return held_out, tuple(one for one in examples if one not in held_out)


def data_digest(examples: Iterable[Example]) -> str:
    """Changes with every image, mask, word and split, and not with the order of the images or the place of the folder."""
    digest = hashlib.blake2b(digest_size=16)
    for one in sorted(examples, key=lambda one: one.digest):
        record = one.sample.to_json()
        told = {"image": one.digest, **{key: record.get(key) for key in ("split", "targets", "expressions")}}
        digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()


def sample_scene_examples() -> list[Example]:
    """The scenes that ship, as examples of the domain that this project's own weights come from."""
    return [Example(_sample_of(scene), scene.path, image_digest(scene.sample.image)) for scene in load_sample_scenes()]


def words_to_labels(examples: Iterable[Example]) -> Mapping[str, str]:
    """Words that are said of regions of one label only -> that label; so a "no dog here" counts for the label it is about."""
    labels: dict[str, set[str]] = {}
    for one in examples:
        for expression in one.sample.expressions:
            for label in labels_of(one.sample, expression):
                labels.setdefault(expression.text.casefold(), set()).add(label)
    return {words: next(iter(found)) for words, found in labels.items() if len(found) == 1}


def labels_of(sample: Sample, expression: Expression) -> tuple[str, ...]:
    """Labels of what an expression refers to, each once."""
    ids = set(expression.target_ids)
    return tuple(dict.fromkeys(target.label for target in sample.targets if target.id in ids and target.label is not None))


def _sample_of(scene: SampleScene) -> Sample:
    height, width = scene.sample.image.shape[:2]
    targets = tuple(
        Target(number, mask_to_coco_rle(mask), label=label)
        for number, (mask, label) in enumerate(zip(scene.sample.objects, scene.classes, strict=True))
    )
    expressions = tuple(
        # What a scene shows does not overlap, so an expression's mask tells whom it refers to.
        Expression(said.text, tuple(n for n, mask in enumerate(scene.sample.objects) if (mask & said.mask).any()), said.kind)
        for said in scene.sample.expressions
    )
    return Sample(scene.path.name, (height, width), "train", targets, expressions)


def _checked_digest(sample: Sample, path: Path) -> str:
    """Digest of the image's pixels, read from the file unless the sample knows it."""
    known = sample.attributes.get("digest")
    if isinstance(known, str) and path.is_file():
        return known
    image = read_image(path)
    if image.shape[:2] != sample.size_hw:
        height, width = sample.size_hw
        raise ValueError(f"the image has {image.shape[1]} x {image.shape[0]} pixels, its masks have {width} x {height}")
    return image_digest(image)
