"""What Label Studio tells by webhook, as values: ids and times only.

The body of an event holds the project's token and every mask of a task; neither is kept. An event says that something changed, never what
it is now: whoever acts on it fetches the task. Repeated, late and reordered events then do no harm, and neither does a lost one once the
project is compared as a whole (Label Studio delivers at most once).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import BadRequest

START_TRAINING = "START_TRAINING"
"""The Train button, and every N-th annotation where a project is set so."""

_REVIEWED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED")
_MAX_IDS = 10_000
_MAX_ID = 2**63
_LONGEST_TIME = 100


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook call.

    Args:
        action: Label Studio's name, for example ``ANNOTATION_CREATED``.
        project: project id, where given.
        annotations: ids of the annotations that the event is about.
        tasks: ids of the tasks that the event is about.
        updated_at: time of the annotation's change; with its id it tells a repeated event.
        corrections: how many annotations were submitted or changed by a person; skipped ones do not count.
    """

    action: str
    project: int | None
    annotations: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()
    updated_at: str | None = None
    corrections: int = 0

    @property
    def key(self) -> str | None:
        """Equal for two deliveries of one change; ``None`` where nothing tells them apart from two changes."""
        if self.updated_at is None or not self.annotations:
            return None
        return f"{self.action} {self.project} {self.annotations} {self.updated_at}"


def parse_event(body: Mapping[str, Any]) -> Event:
    """Read a webhook's body; unknown actions are events too.

    Raises:
        BadRequest: there is no action, or training is asked for without a project.
    """
    action = body.get("action")
    if not isinstance(action, str) or not 0 < len(action) <= 100:
        raise BadRequest("a webhook's body needs an 'action', for example ANNOTATION_CREATED; this one has none")
    annotation, task = body.get("annotation"), body.get("task")
    annotations = [annotation, *_listed(body, "annotations")]
    updated_at = annotation.get("updated_at") if isinstance(annotation, dict) else None
    project = next(iter(_ids([body.get("project")])), None)
    if action == START_TRAINING and project is None:
        raise BadRequest("START_TRAINING needs the project, as Label Studio sends it: {'action': ..., 'project': {'id': 1}}")
    return Event(
        action=action,
        project=project,
        annotations=_ids(annotations),
        tasks=tuple(dict.fromkeys(_ids([task, *_listed(body, "tasks")]) + _tasks_of(annotations))),
        updated_at=updated_at[:_LONGEST_TIME] if isinstance(updated_at, str) else None,
        corrections=sum(_is_correction(found) for found in annotations) if action in _REVIEWED else 0,
    )


def _is_correction(annotation: Any) -> bool:
    return bool(_ids([annotation])) and not (isinstance(annotation, dict) and annotation.get("was_cancelled"))


def _tasks_of(annotations: list[Any]) -> tuple[int, ...]:
    return _ids([found.get("task") for found in annotations if isinstance(found, dict)])


def _listed(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    return value[:_MAX_IDS] if isinstance(value, list) else []


def _ids(things: list[Any]) -> tuple[int, ...]:
    """Ids of objects, which Label Studio gives as ``{"id": 1}`` or as bare numbers."""
    found = (thing.get("id") if isinstance(thing, dict) else thing for thing in things)
    return tuple(value for value in found if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_ID)
