"""A job, its states, and the two contracts around it: what a queue offers, and what a job runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from backend.errors import BackendError

SETTLE_SECONDS = 2.0
"""A job waits this long before it may start: the Train button is pressed twice, and Label Studio itself sends its event twice."""

LONGEST_NOTE = 1000
"""Characters of a job's last word."""


class JobState(StrEnum):
    """Where a job is. The last three are ends, from which only a retry leads back to the queue."""

    QUEUED = "queued"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


class JobError(BackendError):
    """A job is in no state for what was asked."""

    status = 409
    code = "job"


class NoSuchJob(JobError):  # noqa: N818 - says what happened
    """There is no job of that name, or it ended so long ago that it was forgotten."""

    status = 404
    code = "no_such_job"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id[:60]!r}; `wordmask train status` lists them")


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Times are seconds since 1970.

    Args:
        id: names it in commands, routes and its folder.
        project: Label Studio's number of the project that it is for.
        state: where it is.
        reason: why it was asked for.
        note: how far it is, how it ended, or why it failed.
        created_at: when it was asked for, or asked for again.
        started_at: when it last began.
        ended_at: when it ended.
        attempt: how often it has begun.
    """

    id: str
    project: int
    state: JobState
    reason: str
    note: str
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    attempt: int = 0

    def to_json(self) -> dict[str, Any]:
        """As the service tells it; times in UTC."""
        times = {name: _utc(getattr(self, name)) for name in ("created_at", "started_at", "ended_at")}
        return {**asdict(self), **times}


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a running job is given.

    Args:
        job: which one it is.
        folder: its own, kept between attempts: checkpoints go here. What is printed goes to ``log.txt`` in it.
        report: tells in one line how far it is.
    """

    job: Job
    folder: Path
    report: Callable[[str], None]


Work = Callable[[JobContext], str]
"""What a job runs, in a process of its own that may be killed at any moment and then begins again with the same folder.

Returns one line that tells what came of it; an exception makes the job ``failed``.
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job's process ended."""

    state: JobState
    note: str


class JobQueue(Protocol):
    """The jobs of all machines that share a queue; safe between threads and processes."""

    def request(self, project: int, reason: str) -> Job:
        """Queue a job for a project; one that is queued already is returned instead of a second one."""
        ...

    def find(self, job_id: str) -> Job:
        """One job. Raises ``NoSuchJob`` when there is none."""
        ...

    def jobs(self, most: int = 50) -> list[Job]:
        """The newest jobs, newest first."""
        ...

    def stop(self, job_id: str) -> Job:
        """Take a job out of the queue, or end it while it runs. Raises ``JobError`` when it has ended."""
        ...

    def retry(self, job_id: str) -> Job:
        """Queue a failed or stopped job again, with its folder. Raises ``JobError`` when it is in another state."""
        ...

    def recover(self) -> None:
        """Queue again what was running on this machine when its trainer died. Only the one trainer of a machine may call this."""
        ...

    def run_next(self, runner: Runner) -> bool:
        """Run the next job to its end, if there is one that may start. Only a trainer calls this."""
        ...


class Runner(Protocol):
    """Runs jobs on this machine: made by the trainer, used by its queue."""

    @property
    def is_leaving(self) -> bool:
        """The trainer was asked to end: whatever runs is to be broken off and queued again."""
        ...

    def perform(self, job: Job, report: Callable[[str], None]) -> str:
        """Do the work here and now; to be called in a process made for it by ``fork``. Returns the work's last line."""
        ...


def _utc(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def check_can_stop(job: Job) -> None:
    """Raise ``JobError`` when a job has ended already."""
    if job.state not in (JobState.QUEUED, JobState.STARTED):
        raise JobError(f"job {job.id} is {job.state}; only queued and started jobs can be stopped")


def check_can_retry(job: Job) -> None:
    """Raise ``JobError`` when a job did not fail and was not stopped."""
    if job.state not in (JobState.FAILED, JobState.STOPPED):
        raise JobError(f"job {job.id} is {job.state}; only failed and stopped jobs can be tried again")
