"""The last prompt that worked, per project and label: kept on disk, shared by all workers, still there after a restart."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS prompts (
    project TEXT NOT NULL, label TEXT NOT NULL, prompt TEXT NOT NULL, used_at REAL NOT NULL,
    PRIMARY KEY (project, label)
)
"""


class PromptMemory:
    """A small SQLite file.

    Args:
        path: the file; it and its folder are made when first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def remember(self, project: str, label: str, prompt: str) -> None:
        """Keep ``prompt`` as the last one for ``label``.

        Args:
            project: Label Studio's ``ID.EPOCH``; the epoch tells a project from an older one that had the same id.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as database:
            database.execute(_SCHEMA)
            database.execute("INSERT OR REPLACE INTO prompts VALUES (?, ?, ?, ?)", (project, label, prompt, time.time()))

    def recall(self, project: str) -> dict[str, str]:
        """Return the last prompt of each label of ``project``; empty when none was remembered."""
        if not self._path.exists():
            return {}
        with self._connect() as database:
            database.execute(_SCHEMA)
            return dict(database.execute("SELECT label, prompt FROM prompts WHERE project = ?", (project,)).fetchall())

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # A connection per call: threads and processes share the file, never a connection. SQLite waits for a writer up to the timeout.
        connection = sqlite3.connect(self._path, timeout=5.0)
        try:
            with connection:
                yield connection
        finally:
            connection.close()
