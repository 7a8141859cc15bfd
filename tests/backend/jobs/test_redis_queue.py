"""The queue for several machines, with a real Redis: the same states and the same promises as the queue that needs no server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from backend.errors import SettingsError, StorageError
from backend.jobs.job import Job, JobContext, JobError, JobState, NoSuchJob, Work
from backend.jobs.redis_queue import RedisQueue
from backend.jobs.trainer import LOG, Trainer, job_folder
from backend.learning import build_queue
from tests.factories import make_settings
from tools.processes import free_port
from tools.redis_server import RedisServer

pytestmark = pytest.mark.slow

WORKER = '''
import sys, time
from pathlib import Path
from backend.jobs.redis_queue import RedisQueue
from backend.jobs.trainer import Trainer

def work(context):
    """Counts to 40 with a checkpoint at each step."""
    checkpoint = context.folder / "count"
    for count in range(int(checkpoint.read_text()) if checkpoint.exists() else 0, 40):
        time.sleep(0.05)
        part = checkpoint.with_suffix(".part")
        part.write_text(str(count + 1))
        part.replace(checkpoint)
    return f"counted to {checkpoint.read_text()} in attempt {context.job.attempt}"

url, folder = sys.argv[1:]
Trainer(RedisQueue(url, settle_seconds=0), work, Path(folder)).run()
'''


@pytest.fixture
def queue(redis_server: RedisServer) -> RedisQueue:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return RedisQueue(redis_server.url, settle_seconds=0)


def work_off(queue: RedisQueue, folder: Path, work: Work) -> bool:
    return Trainer(queue, work, folder).step()


def wait_until(is_so: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_one_setting_chooses_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    assert isinstance(build_queue(make_settings(tmp_path, redis_url=SecretStr(redis_server.url))), RedisQueue)


def test_two_requests_for_a_project_are_one_job(queue: RedisQueue) -> None:
    first, second, other = queue.request(7, "first"), queue.request(7, "second"), queue.request(8, "other")
    assert first == second
    assert {job.id for job in queue.jobs()} == {first.id, other.id}
    assert (first.state, first.reason, first.project) == (JobState.QUEUED, "first", 7)


def test_many_requests_at_once_are_one_job(queue: RedisQueue) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(queue.request(7, "").id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found))) == (8, 1)


def test_a_finished_job_tells_what_came_of_it_and_its_log_what_it_printed(queue: RedisQueue, tmp_path: Path) -> None:
    def work(context: JobContext) -> str:
        print("epoch 1")
        context.report("half")
        return f"{queue.find(context.job.id).note} and done"

    job = queue.request(7, "")
    assert work_off(queue, tmp_path, work)
    done = queue.find(job.id)
    assert (done.state, done.note, done.attempt) == (JobState.FINISHED, "half and done", 1)
    assert done.started_at is not None
    assert done.ended_at is not None
    assert "epoch 1" in (job_folder(tmp_path, job.id) / LOG).read_text(encoding="utf-8")
    assert not work_off(queue, tmp_path, work)


def fails(context: JobContext) -> str:
    raise ValueError("the third mask is missing")


def test_a_failed_job_tells_why_and_goes_on_when_tried_again(queue: RedisQueue, tmp_path: Path) -> None:
    job = queue.request(7, "")
    work_off(queue, tmp_path, fails)
    failed = queue.find(job.id)
    assert (failed.state, failed.note) == (JobState.FAILED, "ValueError: the third mask is missing")
    assert not work_off(queue, tmp_path, fails), "a failure is not tried again by itself"
    assert queue.retry(job.id).state is JobState.QUEUED
    work_off(queue, tmp_path, lambda context: f"attempt {context.job.attempt}")
    assert (queue.find(job.id).state, queue.find(job.id).note) == (JobState.FINISHED, "attempt 2")


def kills_itself(context: JobContext) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never said"


def test_a_job_whose_process_is_killed_has_failed(queue: RedisQueue, tmp_path: Path) -> None:
    job = queue.request(7, "")
    work_off(queue, tmp_path, kills_itself)
    assert queue.find(job.id).state is JobState.FAILED
    assert "SIGKILL" in queue.find(job.id).note


def test_a_queued_job_is_stopped_before_it_begins(queue: RedisQueue, tmp_path: Path) -> None:
    job = queue.request(7, "")
    assert queue.stop(job.id).state is JobState.STOPPED
    assert not work_off(queue, tmp_path, fails)
    assert queue.retry(job.id).state is JobState.QUEUED
    assert queue.request(7, "").id == job.id


def test_a_fresh_job_waits_for_the_second_press_of_the_button(redis_server: RedisServer, queue: RedisQueue, tmp_path: Path) -> None:
    slow = RedisQueue(redis_server.url, settle_seconds=60)
    slow.request(7, "")
    assert not work_off(slow, tmp_path, fails)


@pytest.mark.parametrize("name", ["stop", "retry"])
def test_what_cannot_be_done_with_a_finished_job_is_refused(queue: RedisQueue, tmp_path: Path, name: str) -> None:
    job = queue.request(7, "")
    work_off(queue, tmp_path, lambda context: "done")
    with pytest.raises(JobError, match="is finished; only"):
        getattr(queue, name)(job.id)


def test_an_unknown_job_is_refused(queue: RedisQueue) -> None:
    with pytest.raises(NoSuchJob, match="no job 'nonsense'"):
        queue.find("nonsense")


def test_a_redis_that_does_not_answer_is_named() -> None:
    with pytest.raises(StorageError, match="WORDMASK_REDIS_URL"):
        RedisQueue(f"redis://127.0.0.1:{free_port()}/0").request(7, "")


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="expected redis://"):
        RedisQueue("localhost:6379")


# --- trainers that come and go


class Worker:
    """A trainer in a process of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", WORKER, url, str(folder)])

    def end(self, with_signal: int) -> None:
        self.process.send_signal(with_signal)
        self.process.wait()


def counted(folder: Path, job: Job) -> int:
    path = job_folder(folder, job.id) / "count"
    return int(path.read_text(encoding="utf-8")) if path.exists() else 0


def test_a_killed_trainer_goes_on_from_its_checkpoint(redis_server: RedisServer, queue: RedisQueue, tmp_path: Path) -> None:
    job = queue.request(7, "")
    first = Worker(redis_server.url, tmp_path)
    wait_until(lambda: counted(tmp_path, job) >= 5)
    first.end(signal.SIGKILL)
    stopped_at = counted(tmp_path, job)
    assert stopped_at < 40
    second = Worker(redis_server.url, tmp_path)
    try:
        wait_until(lambda: queue.find(job.id).state is JobState.FINISHED)
    finally:
        second.end(signal.SIGKILL)
    assert queue.find(job.id).note == "counted to 40 in attempt 2"


def test_a_running_job_is_ended_when_stopped(redis_server: RedisServer, queue: RedisQueue, tmp_path: Path) -> None:
    job = queue.request(7, "")
    worker = Worker(redis_server.url, tmp_path)
    try:
        wait_until(lambda: counted(tmp_path, job) >= 2)
        queue.stop(job.id)
        wait_until(lambda: queue.find(job.id).note == "stopped")
        assert queue.find(job.id).state is JobState.STOPPED
    finally:
        worker.end(signal.SIGKILL)
