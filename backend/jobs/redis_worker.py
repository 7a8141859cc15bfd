"""RQ's worker, running the trainer's work: RQ forks a child for each job, watches it, and tells Redis that it lives."""

from __future__ import annotations

import os
import signal
import time
from resource import struct_rusage
from typing import Any

from rq import Queue, Worker
from rq.job import Job as RqJob
from rq.job import JobStatus

from backend.jobs.job import LONGEST_NOTE, Job, JobState, Runner

MONITOR_SECONDS = 5
"""So often a worker tells that its job lives."""

_LOOK_SECONDS = 0.2

_SILENCE_SECONDS = 30
"""A job whose worker was silent for so long is given to another one."""


class TrainingWorker(Worker):
    """Runs one trainer's jobs.

    Args:
        runner: of the trainer.
    """

    def __init__(self, *arguments: Any, runner: Runner, **options: Any) -> None:
        self._runner = runner
        super().__init__(*arguments, **options)

    def perform_job(self, job: RqJob, queue: Queue) -> bool:
        """In the child: run the trainer's work in place of the function that RQ stored."""
        job.meta["attempt"] = int(job.meta["attempt"]) + 1
        tell(job, str(job.meta["note"]))
        job._execute = lambda: self._run(job)  # type: ignore[method-assign]  # the one place where RQ calls the function
        return super().perform_job(job, queue)

    def _run(self, job: RqJob) -> str:
        meta = job.meta
        told = Job(
            job.id, int(meta["project"]), JobState.STARTED, str(meta["reason"]), "", float(meta["asked"]), attempt=int(meta["attempt"])
        )
        try:
            said = self._runner.perform(told, lambda note: tell(job, note))
        except BaseException as error:
            job.retries_left = 0  # RQ goes on with jobs whose worker died, not with those that fail
            tell(job, f"{type(error).__name__}: {error}")
            raise
        tell(job, said)
        return said

    def wait_for_horse(self) -> tuple[int | None, int | None, struct_rusage | None]:
        """Wait for the child, and end it when the trainer is to leave."""
        while not self._runner.is_leaving:
            try:
                pid, status, usage = os.wait4(self.horse_pid, os.WNOHANG)
            except ChildProcessError:
                return None, None, None
            if pid:
                return pid, status, usage
            time.sleep(_LOOK_SECONDS)
        self.kill_horse()
        return super().wait_for_horse()

    def handle_work_horse_killed(self, job: RqJob, retpid: int | None, ret_val: int | None, rusage: Any) -> None:
        """The child was killed: by the trainer that leaves, whose jobs go on later, or by the system, whose do not."""
        if not self._runner.is_leaving:
            job.retries_left = 0
            job.meta = job.get_meta()
            by = f" by {signal.Signals(os.WTERMSIG(ret_val)).name}" if ret_val and os.WIFSIGNALED(ret_val) else ""
            tell(job, f"the job's process was ended{by}; was there too little memory?")

    def monitor_work_horse(self, job: RqJob, queue: Queue) -> None:
        """Watch the child; its last note would hide that somebody stopped it."""
        super().monitor_work_horse(job, queue)
        if job.get_status() is JobStatus.STOPPED:
            job.meta = job.get_meta()
            tell(job, "stopped")

    def get_heartbeat_ttl(self, job: RqJob) -> int:
        """For how long a sign of life counts."""
        return _SILENCE_SECONDS

    def _install_signal_handlers(self) -> None:
        """Signals are the trainer's; the child is ended when it leaves."""


def tell(job: RqJob, note: str) -> None:
    """Keep a job's last word where every machine can read it."""
    job.meta["note"] = note[:LONGEST_NOTE]
    job.save_meta()  # type: ignore[no-untyped-call]
