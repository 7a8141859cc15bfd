"""An export from beginning to end: the stages joined, over any number of processes, with the same bytes whatever their number."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from backend.errors import BackendError
from backend.export.convert import Converter
from backend.export.image_files import ImageFiles, ImageStage
from backend.export.json_lists import JsonLists
from backend.export.ordered_map import chunked, ordered_map
from backend.export.output_folder import REPORT, output_folder
from backend.export.records import ConvertOptions, ImageMode, SizeMode, TaskRecord
from backend.export.splits import Splits
from backend.export.task_file import read_tasks
from backend.export.writers import ExportWriter
from backend.findings import Findings

_CHUNK = 8
"""Tasks that go to a process together."""

_FETCHES = 4
"""Images that are fetched at the same time."""


class ExportBroken(BackendError):  # noqa: N818 - says what happened
    """An export ended by itself, through no fault of its data."""

    code = "export"


@dataclass(frozen=True, slots=True)
class ExportJob:
    """Everything that an export depends on.

    Args:
        tasks: file that holds them (see :mod:`backend.export.task_file`).
        convert: how regions become masks, and the format.
        out: folder of the export; ``None`` for a dry run, which does the same work and writes nothing.
        splits: one file each.
        files: where images come from, when they are needed.
        images: left, copied or linked.
        sizes: whether images are looked at when no region tells their size.
        processes: how many convert; 1 converts in this one.
        strict: stop at the first warning or error.
        info: what stands under ``info`` of the written files.
    """

    tasks: Path
    convert: ConvertOptions
    out: Path | None
    files: ImageFiles
    splits: Splits = field(default_factory=Splits)
    images: ImageMode = "leave"
    sizes: SizeMode = "auto"
    processes: int = 1
    strict: bool = False
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ExportSummary:
    """What an export wrote, or would write."""

    tasks: int = 0
    images: int = 0
    negatives: int = 0
    masks: int = 0
    by_category: Counter[int] = field(default_factory=Counter)

    def add(self, record: TaskRecord) -> None:
        """Count one task."""
        self.tasks += record.task_id is not None
        self.images += len(record.images)
        self.masks += len(record.masks)
        self.negatives += len(record.images) - len({mask.image_id for mask in record.masks})
        self.by_category.update(mask.category_id for mask in record.masks)

    def to_json(self, categories: tuple[str, ...]) -> dict[str, Any]:
        """Numbers, those of categories without a mask too."""
        named = {name: self.by_category[number] for number, name in enumerate(categories, 1)}
        return {"tasks": self.tasks, "images": self.images, "negatives": self.negatives, "masks": self.masks, "categories": named}


def run_export(job: ExportJob, on_task: Callable[[], None] = lambda: None) -> tuple[ExportSummary, Findings]:
    """Do an export.

    Args:
        job: what to do.
        on_task: told after every task, from the calling thread.

    Raises:
        BadRequest: the tasks cannot be read, or the field of the splits names none.
        FirstFindingStops: the job is strict and something was found; nothing is written then.
        ExportBroken: the disk or the memory of this machine did not do.
    """
    try:
        return _run(job, on_task)
    except OSError as error:
        raise ExportBroken(f"the export to {job.out} broke off: {error.strerror or error}; make room, or choose another --out") from error


def _run(job: ExportJob, on_task: Callable[[], None]) -> tuple[ExportSummary, Findings]:
    summary = ExportSummary()
    with ExitStack() as stack:
        folder = stack.enter_context(output_folder(job.out)) if job.out is not None else None
        report = stack.enter_context(JsonLists(folder / REPORT, ["findings"])) if folder else None
        findings = Findings(job.strict, None if report is None else lambda finding: report.add("findings", finding.to_json()))
        writer = stack.enter_context(_writer(job, folder))
        records = stack.enter_context(_records(job, folder))
        for record in records:
            for finding in record.findings:
                findings.add(finding)
            summary.add(record)
            if writer is not None:
                writer.add(record)
            on_task()
        if writer is not None and report is not None:
            writer.finish()
            counts = {"format": job.convert.format, **summary.to_json(job.convert.scheme.categories), **findings.to_json()}
            report.join({"info": job.info, "counts": counts}, {})
    return summary, findings


def _writer(job: ExportJob, folder: Path | None) -> Any:
    if folder is None:
        return nullcontext()
    return ExportWriter(folder, job.convert.format, job.convert.scheme, job.splits, job.info)


@contextmanager
def _records(job: ExportJob, folder: Path | None) -> Iterator[Iterator[TaskRecord]]:
    """The records of all tasks, in order. Leaving the block stops whatever still computes."""
    stage = ImageStage(job.convert.scheme, job.convert.source, job.files, job.images, job.sizes, folder)
    with ThreadPoolExecutor(_FETCHES, thread_name_prefix="images") as threads, _processes(job.processes) as processes:
        tasks = read_tasks(job.tasks)
        prepared = ordered_map(threads, stage, tasks, in_flight=2 * _FETCHES)
        chunks = ordered_map(processes, Converter(job.convert), chunked(prepared, _CHUNK), in_flight=2 * job.processes)
        try:
            yield (record for chunk in chunks for record in chunk)
        finally:
            chunks.close()
            prepared.close()
            tasks.close()


@contextmanager
def _processes(number: int) -> Iterator[Executor | None]:
    """A pool of processes; ``None`` for a single one. Spawned, as this process may have threads, and a fork copies their locks held."""
    if number == 1:
        yield None
        return
    with ProcessPoolExecutor(number, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise ExportBroken("a process of the export was killed, mostly for want of memory; use fewer --processes") from error


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; the parent ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
