"""What was seen of tasks, by each version of the model: looking at a task costs a run of the model, so nobody looks twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.sqlite_file import SqliteFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS looks (
    version TEXT NOT NULL, task INTEGER NOT NULL, content TEXT NOT NULL, doubt REAL NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (version, task)
);
CREATE INDEX IF NOT EXISTS looks_by_task ON looks (task);
"""
_KEPT = 3
"""Versions whose look at a task is kept: the way back from the newest one costs no look."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One task as a version of the model sees it.

    Args:
        task: its id.
        content: digest of everything that the look depends on besides the version; see :func:`content_of`.
        doubt: 0..1.
        vector: float32 ``[D]`` of length 1; see :func:`models.image_vector`.
    """

    task: int
    content: str
    doubt: float
    vector: npt.NDArray[np.float32]


class LookedAt:
    """Looks on disk. Safe between threads and processes.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    def find(self, version: str, contents: Mapping[int, str]) -> dict[int, Look]:
        """Looks by a version at some tasks, as far as they are known and the tasks are what they were.

        Args:
            version: of the model.
            contents: task -> digest of its content now.
        """
        with self._file.read() as database:
            rows = database.execute("SELECT task, content, doubt, vector FROM looks WHERE version = ?", (version,)).fetchall()
        known = (Look(row["task"], row["content"], row["doubt"], np.frombuffer(row["vector"], np.float32)) for row in rows)
        return {look.task: look for look in known if contents.get(look.task) == look.content}

    def keep(self, version: str, looks: Iterable[Look]) -> None:
        """Keep looks by a version; of each task's, the newest of three versions stay."""
        rows = [(version, look.task, look.content, look.doubt, look.vector.astype(np.float32).tobytes()) for look in looks]
        with self._file.write() as database:
            database.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?)", rows)
            # What is replaced gets a new rowid: they tell the order of looking.
            oldest = "SELECT rowid FROM looks WHERE task = ? ORDER BY rowid DESC LIMIT -1 OFFSET ?"
            database.executemany(f"DELETE FROM looks WHERE rowid IN ({oldest})", [(row[1], _KEPT) for row in rows])  # noqa: S608 - our own text


def content_of(data: Mapping[str, Any], label_config: str) -> str:
    """Digest of what a task shows and of what is asked about it."""
    return hashlib.blake2b(json.dumps([data, label_config], sort_keys=True).encode(), digest_size=12).hexdigest()
