"""Folders of images with the label of every pixel as PNG files, in the layouts of COCO-Stuff and of ADE20K.

COCO-Stuff (github.com/nightrome/cocostuff): ``images/train2017/*.jpg``, ``annotations/train2017/*.png``, ``labels.txt`` with lines such as
``1: person``; a pixel's value is the number of its label less one, 255 is unlabelled.

ADE20K as in the scene parsing challenge (groups.csail.mit.edu/vision/datasets/ADE20K): ``images/training/*.jpg``,
``annotations/training/*.png``, ``objectInfo150.txt``, a table whose last column holds names; a pixel's value is the number of its label, 0
is unlabelled.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.readers.source import DatasetReadError
from models.data.sample import Category
from models.semantic_metrics import IGNORED, LabelMap

COCO_STUFF, ADE20K = "coco-stuff", "ade20k"
NAMES_FILES = {COCO_STUFF: "labels.txt", ADE20K: "objectInfo150.txt"}
"""Layout -> the file that tells it, in the set's folder."""
FIRST_STUFF = 92
"""COCO-Stuff numbers things from 1, stuff from here."""
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
_UNUSED = 256
"""More than any value of a pixel."""


@dataclass(frozen=True, slots=True)
class MappedImage:
    """One image and its label map."""

    split: str
    image: Path
    labels: Path


class LabelMapFolder:
    """One set in either layout; only its names are read at once.

    Args:
        path: of its folder.

    Raises:
        DatasetReadError: the folder is of neither layout, or its names cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        layout = layout_of(path)
        if layout is None:
            raise DatasetReadError(
                f"{path} is no set of label maps: expected the folders images and annotations and one of {', '.join(NAMES_FILES.values())}"
            )
        self.layout = layout
        names = path / NAMES_FILES[layout]
        try:
            text = names.read_text(encoding="utf-8")
            self.categories = _coco_stuff_names(text) if layout == COCO_STUFF else _ade20k_names(text)
        except (OSError, ValueError, IndexError) as error:
            raise DatasetReadError(f"{names} holds no list of labels ({error}); take the file that was published with the set") from error
        if not self.categories:
            raise DatasetReadError(f"{names} lists no label; take the file that was published with the set")
        self._place = np.full(_UNUSED, IGNORED, np.int32)
        for place, category in enumerate(self.categories, start=1):
            self._place[category.id - (layout == COCO_STUFF)] = place

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the folders with label maps."""
        return tuple(sorted(folder.name for folder in (self.path / "annotations").iterdir() if folder.is_dir()))

    def images(self, split: str | None = None) -> Iterator[MappedImage]:
        """Label maps of a split, or of all, with their images; an image that is not there keeps its likely name.

        Raises:
            DatasetReadError: there is no such split.
        """
        if split is not None and split not in self.splits:
            raise DatasetReadError(f"{self.path / 'annotations'} has no folder {split!r}; it has {', '.join(self.splits) or 'none'}")
        for name in self.splits if split is None else (split,):
            for labels in sorted((self.path / "annotations" / name).glob("*.png")):
                stem = self.path / "images" / name / labels.stem
                candidates = [stem.with_name(stem.name + ending) for ending in _IMAGE_ENDINGS]
                yield MappedImage(name, next(filter(Path.is_file, candidates), candidates[0]), labels)

    def read_labels(self, path: Path) -> LabelMap:
        """A label map, int32 ``[H, W]``: 1 + place among :attr:`categories`, :data:`models.semantic_metrics.IGNORED` where unlabelled.

        Raises:
            ValueError: the file is missing, or no PNG with one channel of 8 bits.
        """
        return np.asarray(self._place[read_values(path)])


def read_values(path: Path) -> npt.NDArray[np.uint8]:
    """The values of a PNG's pixels, uint8 ``[H, W]``.

    Raises:
        ValueError: the file is missing, or no PNG with one channel of 8 bits.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.mode not in ("L", "P"):
                raise ValueError(f"{path.name} has pixels of type {picture.mode}, expected one channel of 8 bits")
            return np.asarray(picture, np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} is no readable PNG ({error})") from error


def layout_of(path: Path) -> str | None:
    """Which layout a folder has, :data:`COCO_STUFF` or :data:`ADE20K`; ``None`` for another."""
    if not all((path / part).is_dir() for part in ("images", "annotations")):
        return None
    return next((layout for layout, name in NAMES_FILES.items() if (path / name).is_file()), None)


def _coco_stuff_names(text: str) -> tuple[Category, ...]:
    pairs = [line.split(":", 1) for line in text.splitlines() if line.strip()]
    numbered = [(int(number), name.strip()) for number, name in pairs]
    # 0 is "unlabeled".
    return tuple(Category(number, name, number < FIRST_STUFF) for number, name in numbered if 0 < number < _UNUSED)


def _ade20k_names(text: str) -> tuple[Category, ...]:
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    missing = {"Idx", "Stuff", "Name"} - set(rows[0] if rows else ())
    if missing:
        raise ValueError(f"its table lacks the columns {', '.join(sorted(missing))}")
    numbered = [(int(row["Idx"]), [name.strip() for name in row["Name"].split(",")], row["Stuff"].strip() != "1") for row in rows]
    found: dict[str, Category] = {}
    for number, names, isthing in numbered:
        # Of several names the first, as in the published evaluations; a few labels share it.
        name = next((name for name in names if name not in found), f"{names[0]} {number}")
        if 0 < number < _UNUSED:
            found[name] = Category(number, name, isthing)
    return tuple(found.values())
