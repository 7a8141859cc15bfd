"""Keeps the samples like what Label Studio holds: a whole project compared, or only what events tell of.

Both ways end in the same state, whatever order events come in and wherever a process is killed: what changed is fetched as it is now, and
each task is replaced in one transaction.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backend.dataset.build import BuiltTask, TaskBuilder, failed_task
from backend.dataset.images_kept import KeptImages
from backend.dataset.source import ProjectSource
from backend.dataset.store import KnownProject, SampleStore
from backend.errors import BackendError, LabelConfigError, StorageError
from backend.findings import Findings
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.label_studio import LabelStudioClient
from backend.tasks import Task

logger = logging.getLogger(__name__)

OnProgress = Callable[[int, int], None]
"""Told of the number of tasks that are done, and of all that have to be."""


@dataclass(slots=True)
class UpdateReport:
    """What an update did.

    Args:
        tasks: how many were looked at (``done``), gave samples (``used``), had not changed (``unchanged``), were gone (``removed``).
        findings: what was left out or changed.
    """

    tasks: Counter[str] = field(default_factory=Counter)
    findings: Findings = field(default_factory=Findings)

    def __str__(self) -> str:
        names = ("used", "unused", "unchanged", "removed", "failed")
        return ", ".join(f"{self.tasks[name]} {name}" for name in names)


@dataclass(frozen=True, slots=True)
class DatasetUpdate:
    """Updates samples from one Label Studio.

    Args:
        client: Label Studio.
        images: fetches images.
        store: of the samples.
        kept: of their images.
        pauses: seconds between attempts while Label Studio does not answer or fails.
    """

    client: LabelStudioClient
    images: ImageLoader
    store: SampleStore
    kept: KeptImages
    pauses: Sequence[float] = ()

    def whole_project(self, project_id: int, on_progress: OnProgress = lambda done, total: None) -> UpdateReport:
        """Compare every task with what is known of it and fetch those that changed.

        Started again after a kill it goes on: what was stored counts as known.

        Raises:
            LabelStudioError: Label Studio refuses, or does not answer; what was stored stays.
            LabelConfigError: no control of the project holds masks.
            StorageError: samples or images cannot be written.
        """
        report = UpdateReport()
        source = ProjectSource(self.client, project_id, self.pauses)
        known = self._see(source)
        self.store.doubt(digest for digest in self.store.digests() if not self.kept.path(digest).exists())
        changes = list(source.changes())
        done = self.store.known_tasks(project_id)
        changed = [change for change in changes if done.get(change.task) != (change.updated_at, known.config)]
        unused = [BuiltTask(change.task, change.updated_at, (), (), ()) for change in changed if not change.is_annotated]
        gone = self.store.all_tasks(project_id) - {change.task for change in changes}
        self.store.replace(known, unused)
        removed = self.store.remove(project_id, gone)
        report.tasks.update(removed=removed, unchanged=len(changes) - len(changed), unused=len(unused))
        self._fetch(source, known, [change.task for change in changed if change.is_annotated], report, on_progress)
        self.kept.remove_others(self.store.digests())
        return report

    def some_tasks(self, project_id: int, tasks: Iterable[int]) -> UpdateReport:
        """Fetch some tasks as they are now; those that are gone leave. Raises as :meth:`whole_project`."""
        report = UpdateReport()
        source = ProjectSource(self.client, project_id, self.pauses)
        known = self._see(source)
        wanted = sorted(set(tasks))
        found = self._fetch(source, known, wanted, report, lambda done, total: None)
        report.tasks["removed"] += self.store.remove(project_id, set(wanted) - found)
        return report

    def _see(self, source: ProjectSource) -> KnownProject:
        project = source.project()
        plan = parse_label_config(project["label_config"])
        labels = dict.fromkeys(label.value for control in plan.outputs for label in control.labels)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self.store.see_project(project, list(labels), now)

    def _fetch(
        self, source: ProjectSource, known: KnownProject, tasks: Sequence[int], report: UpdateReport, on_progress: OnProgress
    ) -> set[int]:
        builder = TaskBuilder(known.label_config, known.labels_since, self.images, self.kept)
        found: set[int] = set()
        done = 0
        for some in source.tasks(tasks):
            for task in some:
                built = _build(builder, task)
                self.store.replace(known, [built])
                _count(built, report)
                found.add(built.id)
                done += 1
                on_progress(done, len(tasks))
        return found


def _build(builder: TaskBuilder, task: Task) -> BuiltTask:
    try:
        return builder.build(task)
    except LabelConfigError:
        raise
    except OSError as error:
        raise StorageError(f"an image cannot be kept in {builder.kept.folder}: {error}; free some space") from error
    except BackendError as error:
        return failed_task(task, error)


def _count(built: BuiltTask, report: UpdateReport) -> None:
    report.tasks["failed" if not built.is_complete else "used" if built.samples else "unused"] += 1
    for finding in built.findings:
        report.findings.add(finding)
