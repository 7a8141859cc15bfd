"""An import into a data set folder: read, look after the images, write, report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backend.errors import BackendError, BadRequest
from backend.export.json_lists import JsonLists
from backend.export.records import ImageMode
from backend.findings import Finding, Findings, place
from backend.importing.image_shelf import FOLDER, ImageShelf
from backend.importing.reading import Arriving, ImportSource, OnProgress, open_reading
from models import DatasetWriter, Sample

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import into a folder.

    Args:
        source: what is imported.
        out: the folder; ``None`` for a dry run, which does the same work and writes nothing.
        images: left, copied or linked.
        strict: stop at the first warning or error.
        overwrite: a data set that is there gives way.
    """

    source: ImportSource
    out: Path | None
    images: ImageMode = "leave"
    strict: bool = False
    overwrite: bool = False


@dataclass(slots=True)
class ImportSummary:
    """What came in, or would."""

    samples: int = 0
    targets: int = 0
    boxes: int = 0
    expressions: int = 0
    about_nothing: int = 0
    splits: dict[str, int] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Count one image."""
        self.samples += 1
        self.targets += len(sample.targets)
        self.boxes += sum(target.rle is None for target in sample.targets)
        self.expressions += len(sample.expressions)
        self.about_nothing += sum(not expression.target_ids for expression in sample.expressions)
        for split in [sample.split_of(expression) for expression in sample.expressions] or [sample.split]:
            self.splits[split or ""] = self.splits.get(split or "", 0) + 1

    def to_json(self) -> dict[str, Any]:
        """Numbers; ``splits`` counts expressions, or images where there are none."""
        return {
            "samples": self.samples,
            "targets": self.targets,
            "boxes_only": self.boxes,
            "expressions": self.expressions,
            "expressions_about_nothing": self.about_nothing,
            "splits": dict(sorted(self.splits.items())),
        }


def import_to_folder(job: ImportJob, on_progress: OnProgress) -> tuple[ImportSummary, Findings]:
    """Do an import.

    Raises:
        BadRequest: nothing can be read, or the folder cannot be written.
        FirstFindingStops: the job is strict and something was found; nothing is written then.
    """
    summary = ImportSummary()
    description = f"{job.source.format}, {job.source.path.name}"
    with _writer(job, description) as writer:
        folder = writer.work_path if writer else None
        with _report(folder, job.strict) as (report, findings):
            shelf = ImageShelf(job.images, folder)
            with open_reading(job.source, shelf, findings, on_progress) as reading:
                for arriving in reading.samples:
                    sample = _kept(arriving, shelf, findings)
                    if sample is not None:
                        summary.add(sample)
                        if writer is not None:
                            writer.add(sample)
                    on_progress("images", summary.samples, reading.count)
                categories = reading.categories()
            if report is not None:
                report.join({"source": description, "counts": {**summary.to_json(), **findings.to_json()}}, {})
        if writer is not None:
            writer.commit(categories)
    return summary, findings


@contextmanager
def _report(folder: Path | None, strict: bool) -> Iterator[tuple[JsonLists | None, Findings]]:
    """Where findings go: counted, and written as they come if anything is written."""
    if folder is None:
        yield None, Findings(strict)
        return
    with JsonLists(folder / REPORT, ["findings"]) as report:
        yield report, Findings(strict, lambda finding: report.add("findings", finding.to_json()))


def _kept(arriving: Arriving, shelf: ImageShelf, findings: Findings) -> Sample | None:
    """The sample with its image where the data set will find it."""
    if arriving.sample.image.startswith(("/", f"{FOLDER}/")):
        return arriving.sample
    if arriving.file is None:
        return replace(arriving.sample, image=f"{FOLDER}/{arriving.name}")
    try:
        return replace(arriving.sample, image=shelf.keep(arriving.name, arriving.file))
    except OSError as error:
        where = place(file=arriving.name)
        findings.add(Finding("error", "no-file", where, f"the image cannot be kept: {error.strerror}", "the image is left out"))
        return None


@contextmanager
def _writer(job: ImportJob, description: str) -> Iterator[DatasetWriter | None]:
    if job.out is None:
        yield None
        return
    try:
        writer = DatasetWriter(job.out, description, replace=job.overwrite)
    except FileExistsError as error:
        raise BadRequest(f"{error} (--overwrite replaces a data set)") from error
    except OSError as error:
        raise BackendError(f"cannot write to {job.out}: {error.strerror}; choose another --out") from error
    with writer:
        try:
            yield writer
        except OSError as error:
            raise BackendError(f"cannot write to {job.out}: {error.strerror or error}") from error
