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

from models.data.readers import coco, coco_panoptic, grefcoco, phrasecut, refer
from models.data.readers.detection import detect_format
from models.data.readers.gathering import Gathering
from models.data.readers.source import ReadError, Remark, Source
from models.data.sample import Category, Sample

__all__ = ["FORMATS", "Format", "ReadError", "Reading", "Remark", "Source", "detect_format", "open_source"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read.

    Args:
        about: what people call it, and its files.
        read: gathers everything and returns the categories.
        ids_per_image: whether ids of targets count anew in every image.
    """

    about: str
    read: Callable[[Source, Gathering], tuple[Category, ...]]
    ids_per_image: bool = False


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "coco": Format("COCO instances: instances_val2017.json", coco.read),
        "coco-panoptic": Format("COCO panoptic: panoptic_val2017.json and the folder of its PNG files", coco_panoptic.read, True),
        "refcoco": Format("RefCOCO: folder with instances.json and refs(unc).p", refer.read),
        "refcoco+": Format("RefCOCO+: folder with instances.json and refs(unc).p", refer.read),
        "refcocog": Format("RefCOCOg: folder with instances.json and refs(umd).p", refer.read),
        "referit": Format("ReferIt (RefCLEF): folder with instances.json and refs(berkeley).p", refer.read),
        "grefcoco": Format("gRefCOCO: folder with instances.json and grefs(unc).json", grefcoco.read),
        "phrasecut": Format("PhraseCut: folder with refer_val.json and image_data_split.json", phrasecut.read, True),
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
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
def open_source(name: str, source: Source) -> Iterator[Reading]:
    """Read a data set; its samples are there until the block ends.

    Args:
        name: a key of :data:`FORMATS`.
        source: where the files are, and who hears of mistakes in them.

    Raises:
        ReadError: there is no such format, or nothing can be read.
    """
    if name not in FORMATS:
        raise ReadError(f"unknown format {name!r}; the formats are {', '.join(FORMATS)}")
    if not Path(source.path).exists():
        raise ReadError(f"{source.path} does not exist; check the path")
    format_ = FORMATS[name]
    with Gathering(source, ids_per_image=format_.ids_per_image) as gathering:
        categories = format_.read(source, gathering)
        yield Reading(categories, gathering.samples(), len(gathering))
