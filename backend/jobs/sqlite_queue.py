"""The queue that needs no server: one SQLite file in the data folder, for one machine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from sqlite3 import Connection, Row

from backend.jobs.child import ChildProcess
from backend.jobs.job import (
    LONGEST_NOTE,
    SETTLE_SECONDS,
    Ending,
    Job,
    JobState,
    NoSuchJob,
    Runner,
    check_can_retry,
    check_can_stop,
)
from backend.sqlite_file import SqliteFile

KEPT_JOBS = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, project INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL,
    created_at REAL NOT NULL, started_at REAL, ended_at REAL, attempt INTEGER NOT NULL DEFAULT 0, is_to_stop INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_queued ON jobs (project) WHERE state = 'queued';
"""
_FIELDS = tuple(field.name for field in fields(Job))
_LOOK_SECONDS = 0.2


class SqliteQueue:
    """A :class:`~backend.jobs.job.JobQueue` in one file.

    Args:
        path: the database file.
        settle_seconds: how long a job waits at least before it starts.
        clock: gives seconds since 1970.
    """

    def __init__(self, path: Path, *, settle_seconds: float = SETTLE_SECONDS, clock: Callable[[], float] = time.time) -> None:
        self._file = SqliteFile(path, _SCHEMA)
        self._settle_seconds = settle_seconds
        self._clock = clock

    # --- for whoever asks

    def request(self, project: int, reason: str) -> Job:
        """As :meth:`JobQueue.request`."""
        with self._file.write() as database:
            queued = database.execute("SELECT * FROM jobs WHERE project = ? AND state = 'queued'", (project,)).fetchone()
            if queued is not None:
                return _read(queued)
            job = Job(uuid.uuid4().hex[:12], project, JobState.QUEUED, reason, "", self._clock())
            database.execute(
                "INSERT INTO jobs (id, project, state, reason, note, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                (job.id, job.project, job.state, job.reason, job.note, job.created_at),
            )
            newest = "SELECT id FROM jobs ORDER BY created_at DESC LIMIT ?"
            database.execute(f"DELETE FROM jobs WHERE ended_at IS NOT NULL AND id NOT IN ({newest})", (KEPT_JOBS,))  # noqa: S608 - ours
            return job

    def find(self, job_id: str) -> Job:
        """As :meth:`JobQueue.find`."""
        with self._file.read() as database:
            return _find(database, job_id)

    def jobs(self, most: int = 50) -> list[Job]:
        """As :meth:`JobQueue.jobs`."""
        with self._file.read() as database:
            rows = database.execute("SELECT * FROM jobs ORDER BY created_at DESC, rowid DESC LIMIT ?", (most,))
            return list(map(_read, rows))

    def stop(self, job_id: str) -> Job:
        """As :meth:`JobQueue.stop`; a running job ends within a moment."""
        with self._file.write() as database:
            job = _find(database, job_id)
            check_can_stop(job)
            if job.state is JobState.QUEUED:
                self._end(database, job_id, Ending(JobState.STOPPED, "stopped before it began"))
            else:
                database.execute("UPDATE jobs SET is_to_stop = 1 WHERE id = ?", (job_id,))
            return _find(database, job_id)

    def retry(self, job_id: str) -> Job:
        """As :meth:`JobQueue.retry`."""
        with self._file.write() as database:
            job = _find(database, job_id)
            check_can_retry(job)
            self._queue_again(database, job, "to be tried again")
            return _find(database, job_id)

    # --- for the trainer

    def recover(self) -> None:
        """As :meth:`JobQueue.recover`."""
        with self._file.write() as database:
            for row in database.execute("SELECT * FROM jobs WHERE state = 'started'").fetchall():
                if row["is_to_stop"]:
                    self._end(database, row["id"], Ending(JobState.STOPPED, "stopped"))
                else:
                    self._queue_again(database, _read(row), "goes on where the trainer was ended")

    def run_next(self, runner: Runner) -> bool:
        """As :meth:`JobQueue.run_next`."""
        job = self._take()
        if job is None:
            return False
        child = ChildProcess(lambda: runner.perform(job, lambda note: self._report(job.id, note)))
        while child.is_running(_LOOK_SECONDS):
            if runner.is_leaving or self._is_to_stop(job.id):
                child.end()
        with self._file.write() as database:
            if self._was_told_to_stop(database, job.id):
                self._end(database, job.id, Ending(JobState.STOPPED, "stopped"))
            elif runner.is_leaving and child.ending.state is not JobState.FINISHED:
                self._queue_again(database, job, "goes on when the trainer is back")
            else:
                self._end(database, job.id, child.ending)
        return True

    def _take(self) -> Job | None:
        with self._file.write() as database:
            now = self._clock()
            row = database.execute(
                "SELECT * FROM jobs WHERE state = 'queued' AND created_at <= ? ORDER BY created_at, rowid LIMIT 1",
                (now - self._settle_seconds,),
            ).fetchone()
            if row is None:
                return None
            database.execute(
                "UPDATE jobs SET state = 'started', started_at = ?, ended_at = NULL, attempt = attempt + 1, is_to_stop = 0 WHERE id = ?",
                (now, row["id"]),
            )
            return _find(database, row["id"])

    def _report(self, job_id: str, note: str) -> None:
        with self._file.write() as database:
            database.execute("UPDATE jobs SET note = ? WHERE id = ? AND state = 'started'", (note[:LONGEST_NOTE], job_id))

    def _is_to_stop(self, job_id: str) -> bool:
        with self._file.read() as database:
            return self._was_told_to_stop(database, job_id)

    @staticmethod
    def _was_told_to_stop(database: Connection, job_id: str) -> bool:
        return bool(database.execute("SELECT is_to_stop FROM jobs WHERE id = ?", (job_id,)).fetchone()["is_to_stop"])

    def _end(self, database: Connection, job_id: str, ending: Ending) -> None:
        values = (ending.state, ending.note[:LONGEST_NOTE], self._clock(), job_id)
        database.execute("UPDATE jobs SET state = ?, note = ?, ended_at = ? WHERE id = ?", values)

    def _queue_again(self, database: Connection, job: Job, note: str) -> None:
        """Of two jobs of a project the one that has begun before stays: it may have a checkpoint."""
        for row in database.execute("SELECT id FROM jobs WHERE project = ? AND state = 'queued'", (job.project,)).fetchall():
            self._end(database, row["id"], Ending(JobState.STOPPED, f"job {job.id} does its work"))
        database.execute(
            "UPDATE jobs SET state = 'queued', note = ?, created_at = ?, ended_at = NULL, is_to_stop = 0 WHERE id = ?",
            (note, self._clock() - self._settle_seconds, job.id),
        )


def _find(database: Connection, job_id: str) -> Job:
    row = database.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NoSuchJob(job_id)
    return _read(row)


def _read(row: Row) -> Job:
    values = {name: row[name] for name in _FIELDS}
    return Job(**{**values, "state": JobState(values["state"])})
