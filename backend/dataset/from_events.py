"""What events tell becomes an update of the samples; every event gets an outcome, and is kept until it has one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from backend.dataset.update import DatasetUpdate, UpdateReport
from backend.errors import LabelConfigError
from backend.event_store import EventStore, StoredEvent
from backend.events import START_TRAINING
from backend.label_studio_errors import LabelStudioRefused

logger = logging.getLogger(__name__)

MOST_TASKS = 200
"""Events about more tasks than this have the whole project compared, which asks for what changed alone."""

_ABOUT_ANNOTATIONS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED")
_ABOUT_TASKS = ("TASKS_CREATED", "TASKS_DELETED")


@dataclass(frozen=True, slots=True)
class EventIntake:
    """Takes in the events that wait. Each project is asked once, however many events it has: repeated ones cost nothing.

    Args:
        events: where they wait.
        update: of the samples.
    """

    events: EventStore
    update: DatasetUpdate

    def __call__(self) -> None:
        """Take in what waits now; ``START_TRAINING`` is left for whoever makes jobs.

        Raises:
            LabelStudioError: Label Studio does not answer or refuses the token; the events go on waiting.
            StorageError: samples cannot be written; likewise.
        """
        by_project: dict[int | None, list[StoredEvent]] = {}
        for stored in self.events.waiting():
            if stored.event.action != START_TRAINING:
                by_project.setdefault(stored.event.project, []).append(stored)
        for project, waiting in by_project.items():
            outcome = "ignored: it names no project" if project is None else self._take_in(project, waiting)
            self.events.settle([stored.id for stored in waiting], outcome)
            logger.info("project %s: %d events: %s", project, len(waiting), outcome)

    def _take_in(self, project: int, waiting: Sequence[StoredEvent]) -> str:
        events = [stored.event for stored in waiting]
        touching = [event for event in events if event.action in _ABOUT_ANNOTATIONS + _ABOUT_TASKS]
        annotations = {one for event in touching if event.action in _ABOUT_ANNOTATIONS for one in event.annotations}
        tasks = {task for event in touching for task in event.tasks} | self.update.store.tasks_of_annotations(project, annotations)
        is_whole = any(event.action == "PROJECT_UPDATED" for event in events) or len(tasks) > MOST_TASKS
        try:
            if is_whole:
                return _told(self.update.whole_project(project))
            return _told(self.update.some_tasks(project, tasks)) if tasks else "ignored: it is about nothing that is known"
        except LabelStudioRefused as error:
            if error.http_status != 404:
                raise
            self.update.store.remove_project(project)
            return f"ignored: Label Studio has no project {project} that this token can see; what it had given has left"
        except LabelConfigError as error:
            return f"ignored: {error}"


def _told(report: UpdateReport) -> str:
    errors = report.findings.number("error")
    return f"{report}" + (f"; {errors} regions or images could not be used" if errors else "")
