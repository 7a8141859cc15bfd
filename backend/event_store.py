"""Events on disk, from the webhook's answer until something came of them: one row each, synced before Label Studio is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.events import Event
from backend.sqlite_file import SqliteFile

KEPT_EVENTS = 100_000
"""Older events go. What they told is found again when the project is compared as a whole."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, received_at REAL NOT NULL, key TEXT UNIQUE, event TEXT NOT NULL,
    project INTEGER, corrections INTEGER NOT NULL, outcome TEXT, is_asked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS waiting ON events (id) WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS unasked ON events (project) WHERE corrections > 0 AND NOT is_asked;
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its number, the time it came (seconds since 1970), and what came of it (``None``: nothing yet)."""

    id: int
    received_at: float
    event: Event
    outcome: str | None

    def to_json(self) -> dict[str, Any]:
        """As the service tells it; the time in UTC."""
        received_at = datetime.fromtimestamp(self.received_at, UTC).isoformat(timespec="milliseconds")
        return {"id": self.id, "received_at": received_at, **asdict(self.event), "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class Unasked:
    """Corrections of a project for which no training was asked yet.

    Args:
        corrections: how many.
        since: when the first of them came, seconds since 1970.
        last_event: number of the newest of their events.
    """

    project: int
    corrections: int
    since: float
    last_event: int


class EventStore:
    """The events of one machine. Safe between threads and processes.

    Args:
        path: the database file.
        clock: gives seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = SqliteFile(path, _SCHEMA)
        self._clock = clock

    def record(self, event: Event) -> int | None:
        """Keep an event; returns its number, ``None`` when it is one that is here already.

        Raises:
            StorageError: it cannot be written; nothing of it is.
        """
        row = (self._clock(), event.key, json.dumps(asdict(event)), event.project, event.corrections)
        with self._file.write() as database:
            done = database.execute(
                "INSERT INTO events (received_at, key, event, project, corrections) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                row,
            )
            return done.lastrowid if done.rowcount else None

    def waiting(self, most: int = 1000) -> list[StoredEvent]:
        """Events of which nothing came yet, oldest first."""
        return self._select("WHERE outcome IS NULL ORDER BY id LIMIT ?", most)

    def recent(self, most: int = 50) -> list[StoredEvent]:
        """The newest events, newest first."""
        return self._select("ORDER BY id DESC LIMIT ?", most)

    def settle(self, numbers: Sequence[int], outcome: str) -> None:
        """Note what came of some events."""
        with self._file.write() as database:
            database.executemany("UPDATE events SET outcome = ? WHERE id = ?", [(outcome, number) for number in numbers])
            database.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (KEPT_EVENTS,))

    def unasked(self) -> list[Unasked]:
        """Projects with corrections for which no training was asked yet."""
        with self._file.read() as database:
            rows = database.execute(
                "SELECT project, sum(corrections) AS corrections, min(received_at) AS since, max(id) AS last_event FROM events"
                " WHERE corrections > 0 AND NOT is_asked AND project IS NOT NULL GROUP BY project ORDER BY project"
            )
            return [Unasked(**row) for row in rows]

    def mark_asked(self, project: int, last_event: int) -> None:
        """Training that sees these corrections was asked for."""
        with self._file.write() as database:
            database.execute(
                "UPDATE events SET is_asked = 1 WHERE project = ? AND id <= ? AND corrections > 0 AND NOT is_asked", (project, last_event)
            )

    def _select(self, condition: str, most: int) -> list[StoredEvent]:
        with self._file.read() as database:
            rows = database.execute(f"SELECT id, received_at, event, outcome FROM events {condition}", (most,))  # noqa: S608 - ours
            return [StoredEvent(row["id"], row["received_at"], _read(row["event"]), row["outcome"]) for row in rows]


def _read(text: str) -> Event:
    fields = json.loads(text)
    return Event(**{**fields, "annotations": tuple(fields["annotations"]), "tasks": tuple(fields["tasks"])})
