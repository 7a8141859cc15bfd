"""An import into a project of Label Studio: every image a task, its masks a prediction. Run again, it goes on where it stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.findings import Finding, Findings, place
from backend.importing.image_addresses import ImageAddresses
from backend.importing.image_shelf import ImageShelf
from backend.importing.reading import Arriving, ImportSource, OnProgress, open_reading
from backend.importing.task_content import TaskContent
from backend.importing.task_store import TaskStore
from backend.label_config import parse_label_config
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS

MOST_TASKS = 20
"""Per request."""

MOST_CHARACTERS = 16_000_000
"""Of regions per request: Label Studio takes 250 MiB, and holds several copies of it."""


@dataclass(frozen=True, slots=True)
class ProjectJob:
    """An import into a project.

    Args:
        source: what is imported.
        client: Label Studio.
        project: number of the project.
        addresses: where Label Studio finds the images; ``None`` for a dry run, which looks at everything and writes nothing.
        model_version: of the predictions.
        prompt_field: field of the tasks that gets the expressions, if the labeling config names none.
        strict: stop at the first warning or error.
        pauses: seconds between attempts while Label Studio does not answer or fails.
    """

    source: ImportSource
    client: LabelStudioClient
    project: int
    addresses: ImageAddresses | None
    model_version: str
    prompt_field: str
    strict: bool = False
    pauses: Sequence[float] = RETRY_SECONDS


@dataclass(slots=True)
class ProjectSummary:
    """What became of the images."""

    created: int = 0
    skipped: int = 0
    regions: int = 0

    def add(self, task: dict[str, Any]) -> None:
        """Count a task that was created, or would be."""
        self.created += 1
        self.regions += sum(len(prediction["result"]) for prediction in task["predictions"])


def import_to_project(job: ProjectJob, on_progress: OnProgress, summary: ProjectSummary, findings: Findings) -> None:
    """Do an import.

    Args:
        job: what to do.
        on_progress: told how far it is.
        summary: is filled, also when the run breaks off.
        findings: told of what is left out or changed.

    Raises:
        BadRequest: nothing can be read.
        LabelConfigError: the project's config has no control for masks of a single image.
        LabelStudioError: Label Studio stays unreachable; what was created stays.
    """
    plan = parse_label_config(job.client.project(job.project)["label_config"])
    store = TaskStore(job.client, job.project, findings.add, job.pauses)
    with open_reading(job.source, ImageShelf("leave", None), findings, on_progress) as reading:
        content = TaskContent(plan, [category.name for category in reading.categories()], job.prompt_field, findings.add)
        batch = _Batch(store, summary)
        seen: Counter[str] = Counter()
        for done, arriving in enumerate(reading.samples, 1):
            key = _key(job.source.format, arriving, seen)
            if key in store.keys:
                summary.skipped += 1
            else:
                task = _task(arriving, key, content, job, findings)
                if task is not None and job.addresses is not None:
                    batch.add(task)
                elif task is not None:
                    summary.add(task)
            on_progress("images", done, reading.count)
        batch.send()


class _Batch:
    """Tasks that are sent together."""

    def __init__(self, store: TaskStore, summary: ProjectSummary) -> None:
        self._store, self._summary = store, summary
        self._tasks: list[dict[str, Any]] = []
        self._characters = 0

    def add(self, task: dict[str, Any]) -> None:
        """Take in a task, and send what has come together when it is much."""
        self._tasks.append(task)
        self._characters += len(json.dumps(task))
        if len(self._tasks) >= MOST_TASKS or self._characters >= MOST_CHARACTERS:
            self.send()

    def send(self) -> None:
        """Send what is there."""
        if self._tasks:
            for task in self._store.create(self._tasks):
                self._summary.add(task)
        self._tasks, self._characters = [], 0


def _task(arriving: Arriving, key: str, content: TaskContent, job: ProjectJob, findings: Findings) -> dict[str, Any] | None:
    regions = content.regions(arriving.sample)
    try:
        address = job.addresses.address(arriving.name, arriving.file) if job.addresses else ""
    except OSError as error:
        findings.add(Finding("error", "no-file", place(file=arriving.name), f"the image cannot be read: {error.strerror}", "left out"))
        return None
    prediction = {"model_version": job.model_version, "result": regions}
    return {"data": content.data(arriving.sample, key, address), "predictions": [prediction]}


def _key(format_: str, arriving: Arriving, seen: Counter[str]) -> str:
    """What tells an image from all others of its source, in every run the same."""
    known = arriving.sample.attributes
    key = f"{format_}:{known.get('image_id', known.get('task', ''))}:{arriving.name}"
    seen[key] += 1
    return key if seen[key] == 1 else f"{key}#{seen[key]}"
