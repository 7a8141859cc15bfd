"""The queue for several machines: Redis with RQ. Jobs have the same states and names as in the queue that needs no server.

What RQ stores is JSON, never pickled objects: whoever can write to the Redis cannot make a trainer run code of theirs.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from rq import Queue, Retry
from rq.command import send_stop_job_command
from rq.exceptions import NoSuchJobError
from rq.job import Job as RqJob
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import as_text

from backend.errors import SettingsError, StorageError
from backend.jobs.job import SETTLE_SECONDS, Job, JobState, NoSuchJob, Runner, check_can_retry, check_can_stop
from backend.jobs.redis_worker import MONITOR_SECONDS, TrainingWorker, tell

logger = logging.getLogger(__name__)

NAME = "wordmask-training"
KEPT_JOBS = 1000
KEPT_SECONDS = 90 * 24 * 3600
"""For so long an ended job is remembered."""

_NEWEST = f"{NAME}:jobs"
_ANSWER_SECONDS = 3.0
_LOCK_SECONDS = 10.0
_MOMENT_SECONDS = 1.0
_MOST_RESUMES = 100
"""So often a job goes on after the trainer that had it died."""

_STATES = {
    JobStatus.CREATED: JobState.QUEUED,
    JobStatus.QUEUED: JobState.QUEUED,
    JobStatus.DEFERRED: JobState.QUEUED,
    JobStatus.SCHEDULED: JobState.QUEUED,
    JobStatus.STARTED: JobState.STARTED,
    JobStatus.FINISHED: JobState.FINISHED,
    JobStatus.FAILED: JobState.FAILED,
    JobStatus.STOPPED: JobState.STOPPED,
    JobStatus.CANCELED: JobState.STOPPED,
}


class RedisQueue:
    """A :class:`~backend.jobs.job.JobQueue` in Redis.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with the password in it where there is one.
        settle_seconds: how long a job waits at least before it starts.

    Raises:
        SettingsError: the address cannot be read. Nothing is connected yet.
    """

    def __init__(self, url: str, *, settle_seconds: float = SETTLE_SECONDS) -> None:
        try:
            self._redis: redis.Redis = redis.Redis.from_url(
                url, socket_connect_timeout=_ANSWER_SECONDS, socket_timeout=_ANSWER_SECONDS, health_check_interval=30
            )
        except ValueError as error:
            raise SettingsError(f"WORDMASK_REDIS_URL cannot be used: {error}; expected redis://HOST:PORT/0") from error
        self._url = url
        self._settle_seconds = settle_seconds

    # --- for whoever asks

    def request(self, project: int, reason: str) -> Job:
        """As :meth:`JobQueue.request`."""
        with self._answering() as queue, self._changing(project):
            queued = self._queued(project)
            if queued is not None:
                return _read(queued)
            job = queue.create_job(
                "backend.jobs.redis_worker.run",  # never looked up: the worker's jobs know what to run
                job_id=uuid.uuid4().hex[:12],
                timeout=-1,
                result_ttl=KEPT_SECONDS,
                failure_ttl=KEPT_SECONDS,
                retry=Retry(max=_MOST_RESUMES),
                meta={"project": project, "reason": reason, "note": "", "attempt": 0, "asked": time.time()},
                description=f"project {project}",
            )
            queue.enqueue_job(job)
            self._redis.set(_queued_key(project), job.id)
            self._redis.zadd(_NEWEST, {job.id: time.time()})
            self._redis.zremrangebyrank(_NEWEST, 0, -KEPT_JOBS - 1)
            return _read(job)

    def find(self, job_id: str) -> Job:
        """As :meth:`JobQueue.find`."""
        with self._answering():
            return _read(self._fetch(job_id))

    def jobs(self, most: int = 50) -> list[Job]:
        """As :meth:`JobQueue.jobs`."""
        with self._answering():
            names: list[Any] = self._redis.zrevrange(_NEWEST, 0, most - 1)
            ids = [as_text(name) for name in names]
            found = RqJob.fetch_many(ids, connection=self._redis, serializer=JSONSerializer)
            return [_read(job) for job in found if job is not None]

    def stop(self, job_id: str) -> Job:
        """As :meth:`JobQueue.stop`."""
        with self._answering():
            job = self._fetch(job_id)
            check_can_stop(_read(job))
            if job.get_status() is JobStatus.STARTED:
                send_stop_job_command(self._redis, job_id, serializer=JSONSerializer)
            else:
                job.cancel()
                tell(job, "stopped before it began")
            return _read(self._fetch(job_id))

    def retry(self, job_id: str) -> Job:
        """As :meth:`JobQueue.retry`."""
        with self._answering() as queue:
            job = self._fetch(job_id)
            project = int(job.meta["project"])
            check_can_retry(_read(job))
            with self._changing(project):
                other = self._queued(project)
                if other is not None:
                    other.cancel()
                    tell(other, f"job {job_id} does its work")
                for registry in (queue.failed_job_registry, queue.canceled_job_registry):
                    registry.remove(job)
                job.retries_left = _MOST_RESUMES
                tell(job, "to be tried again")
                queue.enqueue_job(job)
                self._redis.set(_queued_key(project), job.id)
            return _read(self._fetch(job_id))

    # --- for the trainer

    def recover(self) -> None:
        """As :meth:`JobQueue.recover`: what a worker of this machine had started cannot be running any more."""
        with self._answering() as queue:
            for job_id, execution_id in queue.started_job_registry.get_job_and_execution_ids(cleanup=False):
                job = self._fetch(job_id)
                if (job.worker_name or "").startswith(_machine()):
                    self._redis.zadd(queue.started_job_registry.key, {f"{job_id}:{execution_id}": 1}, xx=True)
            queue.started_job_registry.cleanup()
            self._put_back_what_was_just_taken(queue)

    def _put_back_what_was_just_taken(self, queue: Queue) -> None:
        """A worker that dies within the moment between taking a job and beginning it leaves the job in a list of its own."""
        taken = set(queue.intermediate_queue.get_job_ids())
        if not taken:
            return
        time.sleep(_MOMENT_SECONDS)  # those that others have taken just now begin meanwhile
        for job_id in taken & set(queue.intermediate_queue.get_job_ids()):
            if self._fetch(job_id).get_status() is JobStatus.QUEUED:
                self._redis.lrem(queue.intermediate_queue_key, 1, job_id)
                queue.push_job_id(job_id, at_front=True)

    def run_next(self, runner: Runner) -> bool:
        """As :meth:`JobQueue.run_next`."""
        with self._answering() as queue:
            queue.started_job_registry.cleanup()  # what other machines lost
            if not self._may_start(queue):
                return False
            # Its own connection: the one here gives up after a moment, and a worker listens for as long as a job runs.
            connection = redis.Redis.from_url(self._url)
            worker = TrainingWorker(
                [Queue(NAME, connection=connection, serializer=JSONSerializer)],
                name=f"{_machine()}{os.getpid()}-{uuid.uuid4().hex[:8]}",
                connection=connection,
                serializer=JSONSerializer,
                job_monitoring_interval=MONITOR_SECONDS,
                runner=runner,
            )
            try:
                return bool(worker.work(burst=True, max_jobs=1, logging_level="WARNING"))
            finally:
                connection.close()

    def _may_start(self, queue: Queue) -> bool:
        """Whether the next job has waited for the second press of the button."""
        for job_id in queue.get_job_ids(0, 1):
            job = self._fetch(job_id)
            return time.time() - float(job.meta["asked"]) >= self._settle_seconds
        return False

    def _queued(self, project: int) -> RqJob | None:
        """The job of a project that has not begun."""
        job_id = self._redis.get(_queued_key(project))
        if job_id is None:
            return None
        try:
            job = self._fetch(as_text(job_id))
        except NoSuchJob:
            return None
        return job if _STATES[job.get_status()] is JobState.QUEUED else None

    def _fetch(self, job_id: str) -> RqJob:
        try:
            return RqJob.fetch(job_id, connection=self._redis, serializer=JSONSerializer)
        except NoSuchJobError as error:
            raise NoSuchJob(job_id) from error

    @contextmanager
    def _changing(self, project: int) -> Iterator[None]:
        """Nobody else queues a job of the project meanwhile."""
        with self._redis.lock(f"{NAME}:lock:{project}", timeout=_LOCK_SECONDS, blocking_timeout=_LOCK_SECONDS):
            yield

    @contextmanager
    def _answering(self) -> Iterator[Queue]:
        try:
            yield Queue(NAME, connection=self._redis, serializer=JSONSerializer)
        except redis.RedisError as error:
            raise StorageError(f"Redis does not answer ({type(error).__name__}); check that it runs and WORDMASK_REDIS_URL") from error


def _queued_key(project: int) -> str:
    return f"{NAME}:queued:{project}"


def _machine() -> str:
    return f"wordmask-{socket.gethostname()}-"


def _read(job: RqJob) -> Job:
    meta: dict[str, Any] = job.meta
    state = _STATES[job.get_status(refresh=False) or JobStatus.CREATED]
    return Job(
        id=job.id,
        project=int(meta["project"]),
        state=state,
        reason=str(meta["reason"]),
        note=str(meta["note"]),
        created_at=float(meta["asked"]),
        started_at=job.started_at.timestamp() if job.started_at else None,
        ended_at=job.ended_at.timestamp() if job.ended_at and state not in (JobState.QUEUED, JobState.STARTED) else None,
        attempt=int(meta["attempt"]),
    )
