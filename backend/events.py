"""A journal of what Label Studio tells by webhook: one JSON line per event, with ids and times only.

The body of an event holds the project's token and every mask of a task; neither is written. Whoever acts on an event fetches the task,
because Label Studio delivers at most once and a journal alone is never complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.errors import BadRequest

MAX_JOURNAL_BYTES = 16 * 2**20
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
    """

    action: str
    project: int | None
    annotations: tuple[int, ...]
    tasks: tuple[int, ...]
    updated_at: str | None


def parse_event(body: Mapping[str, Any]) -> Event:
    """Read a webhook's body; unknown actions are events too.

    Raises:
        BadRequest: there is no action.
    """
    action = body.get("action")
    if not isinstance(action, str) or not 0 < len(action) <= 100:
        raise BadRequest("a webhook's body needs an 'action', for example ANNOTATION_CREATED; this one has none")
    annotation, task = body.get("annotation"), body.get("task")
    updated_at = annotation.get("updated_at") if isinstance(annotation, dict) else None
    return Event(
        action=action,
        project=next(iter(_ids([body.get("project")])), None),
        annotations=_ids([annotation, *_listed(body, "annotations")]),
        tasks=_ids([task, *_listed(body, "tasks")]),
        updated_at=updated_at[:_LONGEST_TIME] if isinstance(updated_at, str) else None,
    )


def append_event(journal: Path, event: Event) -> None:
    """Add one line to ``journal``; several workers may do so at once. A journal that has grown large becomes ``NAME.1`` first."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    if journal.exists() and journal.stat().st_size > MAX_JOURNAL_BYTES:
        journal.replace(journal.with_name(journal.name + ".1"))
    record = {"received_at": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(event)}
    line = (json.dumps(record) + "\n").encode()
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # one call with O_APPEND: lines of several workers never mix
    finally:
        os.close(descriptor)


def _listed(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    return value[:_MAX_IDS] if isinstance(value, list) else []


def _ids(things: list[Any]) -> tuple[int, ...]:
    """Ids of objects, which Label Studio gives as ``{"id": 1}`` or as bare numbers."""
    found = (thing.get("id") if isinstance(thing, dict) else thing for thing in things)
    return tuple(value for value in found if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_ID)
