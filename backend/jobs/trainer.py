"""The one process of a machine that does long work: it takes jobs from the queue, one at a time, and runs each in a child."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BackendError
from backend.jobs.job import Job, JobContext, JobQueue, Work
from backend.jobs.machine import Lifeline, MachineLock

logger = logging.getLogger(__name__)

LOG = "log.txt"
"""What a job prints, in its folder."""

_RETRY_SECONDS = 10.0
"""A chore that failed, or a queue that did not answer, is tried again after this time."""

_DYING_SECONDS = 5.0
"""A trainer that was killed, and its job, may take so long to be gone."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the machine a job may take, so that annotators are served first.

    Args:
        niceness: 0 for as much as anybody, 19 for what nobody else wants.
        threads: of numerical libraries.
    """

    niceness: int = 10
    threads: int = 1


class Trainer:
    """Works until it is told to stop.

    Args:
        queue: of the jobs.
        work: what each of them runs.
        folder: of the data; jobs get folders of their own in ``jobs`` there.
        chores: done between jobs. One that fails is tried again later and stops nothing else.
        takes_jobs: without, only the chores are done here, and other machines take the jobs.
        limits: of each job.
        is_to_leave: asked all the time; true ends the trainer as :meth:`leave` does.
        poll_seconds: pause when there is nothing to do.
    """

    def __init__(
        self,
        queue: JobQueue,
        work: Work,
        folder: Path,
        *,
        chores: Sequence[Callable[[], None]] = (),
        takes_jobs: bool = True,
        limits: Limits | None = None,
        is_to_leave: Callable[[], bool] = lambda: False,
        poll_seconds: float = 0.5,
    ) -> None:
        self._queue = queue
        self._work = work
        self._folder = folder
        self._chores: list[Callable[[], object]] = [*chores, *([self._run_next] if takes_jobs else [])]
        self._takes_jobs = takes_jobs
        self._has_recovered = False
        self._limits = limits or Limits()
        self._poll_seconds = poll_seconds
        self._is_to_leave = is_to_leave
        self._leaving = threading.Event()
        self._lifeline: Lifeline | None = None
        self._paused_until: dict[int, float] = {}

    @property
    def is_leaving(self) -> bool:
        """As :attr:`Runner.is_leaving`."""
        if self._is_to_leave():
            self._leaving.set()
        return self._leaving.is_set()

    def leave(self) -> None:
        """Stop soon; a running job is broken off and queued again."""
        self._leaving.set()

    def run(self) -> None:
        """Work until :meth:`leave`.

        Raises:
            TrainerRuns: another trainer of this data folder is at work.
        """
        lock = MachineLock(self._folder / "trainer.lock", _DYING_SECONDS)
        self._lifeline = Lifeline()
        try:
            while not self.is_leaving:
                if not self.step():
                    self._leaving.wait(self._poll_seconds)
        finally:
            self._lifeline.release()
            lock.release()

    def step(self) -> bool:
        """Do every chore and the next job, if there is one; whether there was one."""
        done = [self._do(number, chore) for number, chore in enumerate(self._chores)]
        return self._takes_jobs and done[-1] is True

    def perform(self, job: Job, report: Callable[[str], None]) -> str:
        """As :meth:`Runner.perform`."""
        if self._lifeline is not None:
            self._lifeline.follow()
        folder = self.job_folder(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        _print_into(folder / LOG)
        _make_small(self._limits)
        started = time.monotonic()
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} job {job.id}, project {job.project}, attempt {job.attempt}: {job.reason}")  # noqa: T201
        said = self._work(JobContext(job, folder, report))
        print(f"done in {time.monotonic() - started:.1f} s: {said}")  # noqa: T201 - into the job's log
        return said

    def job_folder(self, job_id: str) -> Path:
        """The folder of a job."""
        return job_folder(self._folder, job_id)

    def _run_next(self) -> bool:
        if not self._has_recovered:
            self._queue.recover()
            self._has_recovered = True
        return self._queue.run_next(self)

    def _do(self, number: int, chore: Callable[[], object]) -> object:
        """Do a chore unless it failed just now; ``None`` for not done."""
        if time.monotonic() < self._paused_until.get(number, 0.0):
            return None
        try:
            done = chore()
        except BackendError as error:
            logger.warning("%s; tried again in %.0f s", error, _RETRY_SECONDS)
        except Exception:  # whatever it is, jobs and events of others go on
            logger.exception("something unexpected; tried again in %.0f s", _RETRY_SECONDS)
        else:
            return done if done is not None else True
        self._paused_until[number] = time.monotonic() + _RETRY_SECONDS
        return None


def job_folder(data_dir: Path, job_id: str) -> Path:
    """The folder of a job in a data folder."""
    return data_dir / "jobs" / job_id


def _print_into(log: Path) -> None:
    """Let everything that is printed from here on, by whatever library, go to ``log``."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _make_small(limits: Limits) -> None:
    os.nice(limits.niceness)
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(limits.threads)))  # read when such a library is loaded, which is later
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
