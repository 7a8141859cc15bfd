"""Whatever is imported, as samples: a published data set, or an export of Label Studio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BackendError, BadRequest
from backend.export.image_files import FetchedFiles, FilesOnDisk
from backend.export.task_file import read_tasks
from backend.findings import Finding, Findings, place
from backend.importing.image_shelf import ImageShelf, file_size_hw
from backend.importing.label_studio_json import ExportReader
from models import (
    DATASET_FORMATS,
    Category,
    DatasetReadError,
    DatasetSource,
    ReaderRemark,
    Sample,
    detect_dataset_format,
    read_dataset,
)

LABEL_STUDIO = "label-studio"
AUTO = "auto"

OnProgress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is; 0 for an unknown total."""


@dataclass(frozen=True, slots=True)
class ImportSource:
    """What is imported.

    Args:
        format: a key of ``models.DATASET_FORMATS``, or ``label-studio``.
        path: file or folder.
        split: of everything, where the format names none.
        split_by: which of several divisions into splits.
        image_root: folder of the image files; ``None``: they stay unknown, or are fetched (Label Studio).
        label_config: labeling config of an export of Label Studio, which does not hold it.
        predictions: of an export, take predictions in place of annotations.
        fetch: fetches the images of an export, where there is no ``image_root``.
    """

    format: str
    path: Path
    split: str | None = None
    split_by: str | None = None
    image_root: Path | None = None
    label_config: str | None = None
    predictions: bool = False
    fetch: FetchedFiles | FilesOnDisk | None = None


@dataclass(frozen=True, slots=True)
class Arriving:
    """A sample on its way: ``name`` is what its image is called in the source, ``file`` where it is on this machine, if it is."""

    name: str
    sample: Sample
    file: Path | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is being read; ``count`` samples, 0 where that is not known before."""

    categories: Callable[[], tuple[Category, ...]]
    samples: Iterator[Arriving]
    count: int


def resolve_format(name: str, path: Path) -> str:
    """The format that is meant by a name, ``auto`` included.

    Raises:
        BadRequest: there is no such format, or it cannot be told.
    """
    known = [*DATASET_FORMATS, LABEL_STUDIO]
    if name != AUTO:
        if name not in known:
            raise BadRequest(f"unknown format {name!r}; the formats are {', '.join(known)}, and {AUTO}")
        return name
    if not path.exists():
        raise BadRequest(f"{path} does not exist; check the path")
    found = detect_dataset_format(path) or (LABEL_STUDIO if _begins_with_task(path) else None)
    if found is None:
        raise BadRequest(f"{path} is of no format that is known here; name it, if it is one of: {', '.join(known)}")
    return found


def _begins_with_task(path: Path) -> bool:
    if not path.is_file():
        return False
    with closing(read_tasks(path)) as tasks:
        try:
            return isinstance(next(tasks, None), dict)
        except BadRequest:
            return False


@contextmanager
def open_reading(source: ImportSource, shelf: ImageShelf, findings: Findings, on_progress: OnProgress) -> Iterator[Reading]:
    """Read; the samples are there until the block ends, their images kept.

    Raises:
        BadRequest: nothing can be read.
    """
    if source.format == LABEL_STUDIO:
        reader = ExportReader(source.path, source.label_config, shelf, findings, source.fetch, source.split, source.predictions)
        yield Reading(reader.categories, map(_of_export, reader.samples()), 0)
        return
    files = DatasetSource(source.path, lambda remark: findings.add(_finding(remark)), on_progress, source.split, source.split_by)
    try:
        with read_dataset(source.format, files) as found:
            arriving = _with_files(found.samples, source.image_root, findings)
            yield Reading(lambda: found.categories, arriving, found.count)
    except DatasetReadError as error:
        raise BadRequest(str(error)) from error


def _of_export(sample: Sample) -> Arriving:
    path = Path(sample.image)
    return Arriving(path.name, sample, path) if path.is_absolute() else Arriving(sample.image, sample, None)


def _with_files(samples: Iterator[Sample], root: Path | None, findings: Findings) -> Iterator[Arriving]:
    """Find the image file of each sample; one whose file is missing, or is of another size, is left out."""
    for sample in samples:
        if root is None:
            yield Arriving(sample.image, sample, None)
            continue
        path = root / sample.image
        where = place(image=sample.attributes.get("image_id"), file=sample.image)
        try:
            size_hw = file_size_hw(path)
        except BackendError as error:
            findings.add(Finding("error", "no-file", where, str(error), "the image is left out with all that is marked in it"))
            continue
        if size_hw != sample.size_hw:
            what = f"the file has {size_hw[1]}x{size_hw[0]} pixels, the data set says {sample.size_hw[1]}x{sample.size_hw[0]}"
            findings.add(Finding("error", "other-size", where, what, "the image is left out with all that is marked in it"))
            continue
        yield Arriving(sample.image, sample, path)


def _finding(remark: ReaderRemark) -> Finding:
    return Finding(remark.severity, remark.kind, place(**remark.where), remark.what, remark.action)
