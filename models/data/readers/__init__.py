"""Published data sets in their original files, read into samples: one module per format.

A format is a module with ``read(source, gathering)``, which gathers images, targets and expressions and returns the categories. What
is wrong with single entries is told to the source, and the rest is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models.data.readers import coco, coco_panoptic, grefcoco, label_map_files, mess, phrasecut, refer
from models.data.readers.detection import detect_dataset_format
from models.data.readers.gathering import Gathering
from models.data.readers.source import DatasetReadError, DatasetSource, ReaderRemark
from models.data.sample import Category, Sample

__all__ = [
    "DATASET_FORMATS",
    "DatasetFormat",
    "DatasetReadError",
    "DatasetReading",
    "DatasetSource",
    "ReaderRemark",
    "detect_dataset_format",
    "read_dataset",
]


@dataclass(frozen=True, slots=True)
class DatasetFormat:
    """A format that can be read.

    Args:
        about: what people call it, and its files.
        read: gathers everything and returns the categories.
        ids_per_image: whether ids of targets count anew in every image.
    """

    about: str
    read: Callable[[DatasetSource, Gathering], tuple[Category, ...]]
    ids_per_image: bool = False


DATASET_FORMATS: Mapping[str, DatasetFormat] = MappingProxyType(
    {
        "coco": DatasetFormat("COCO instances: instances_val2017.json", coco.read),
        "coco-panoptic": DatasetFormat("COCO panoptic: panoptic_val2017.json and the folder of its PNG files", coco_panoptic.read, True),
        "coco-stuff": DatasetFormat("COCO-Stuff: folder with images, annotations and labels.txt", label_map_files.read, True),
        "ade20k": DatasetFormat("ADE20K: folder with images, annotations and objectInfo150.txt", label_map_files.read, True),
        "mess": DatasetFormat("MESS: folder of data sets that the package mess-benchmark prepared, --split names one", mess.read, True),
        "refcoco": DatasetFormat("RefCOCO: folder with instances.json and refs(unc).p", refer.read),
        "refcoco+": DatasetFormat("RefCOCO+: folder with instances.json and refs(unc).p", refer.read),
        "refcocog": DatasetFormat("RefCOCOg: folder with instances.json and refs(umd).p", refer.read),
        "referit": DatasetFormat("ReferIt (RefCLEF): folder with instances.json and refs(berkeley).p", refer.read),
        "grefcoco": DatasetFormat("gRefCOCO: folder with instances.json and grefs(unc).json", grefcoco.read),
        "phrasecut": DatasetFormat("PhraseCut: folder with refer_val.json and image_data_split.json", phrasecut.read, True),
    }
)


@dataclass(frozen=True, slots=True)
class DatasetReading:
    """A data set that is being read.

    Args:
        categories: in the order of the source.
        samples: one per image, in the order of the source; can be iterated once.
        count: number of samples.
    """

    categories: tuple[Category, ...]
    samples: Iterator[Sample]
    count: int


@contextmanager
def read_dataset(name: str, source: DatasetSource) -> Iterator[DatasetReading]:
    """Read a data set; its samples are there until the block ends.

    Args:
        name: a key of :data:`DATASET_FORMATS`.
        source: where the files are, and who hears of mistakes in them.

    Raises:
        DatasetReadError: there is no such format, or nothing can be read.
    """
    if name not in DATASET_FORMATS:
        raise DatasetReadError(f"unknown format {name!r}; the formats are {', '.join(DATASET_FORMATS)}")
    if not Path(source.path).exists():
        raise DatasetReadError(f"{source.path} does not exist; check the path")
    format_ = DATASET_FORMATS[name]
    with Gathering(source, ids_per_image=format_.ids_per_image) as gathering:
        categories = format_.read(source, gathering)
        yield DatasetReading(categories, gathering.samples(), len(gathering))
