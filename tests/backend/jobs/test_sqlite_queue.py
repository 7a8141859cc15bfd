"""The queue that needs no server: asking, taking, ending, stopping, trying again."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.jobs.job import Job, JobContext, JobError, JobQueue, JobState, Work
from backend.jobs.sqlite_queue import SqliteQueue
from backend.jobs.trainer import LOG, Trainer, job_folder


class Clock:
    """Time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> SqliteQueue:
    return SqliteQueue(tmp_path / "jobs.sqlite3", settle_seconds=2.0, clock=clock)


def work_off(queue: JobQueue, tmp_path: Path, work: Work) -> bool:
    return Trainer(queue, work, tmp_path).step()


def says(text: str) -> Work:
    return lambda context: text


def fails(context: JobContext) -> str:
    raise ValueError("the third mask is missing")


def test_a_request_is_a_queued_job(queue: SqliteQueue) -> None:
    job = queue.request(7, "asked for in Label Studio")
    assert queue.find(job.id) == job == Job(job.id, 7, JobState.QUEUED, "asked for in Label Studio", "", 1000.0)


def test_two_requests_for_a_project_are_one_job(queue: SqliteQueue) -> None:
    assert queue.request(7, "first") == queue.request(7, "second")
    assert len(queue.jobs()) == 1


def test_projects_have_jobs_of_their_own(queue: SqliteQueue) -> None:
    assert queue.request(7, "") != queue.request(8, "")


def test_a_fresh_job_waits_for_the_second_press_of_the_button(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    first = queue.request(7, "")
    clock.now += 1.9
    assert not work_off(queue, tmp_path, says("done"))
    assert queue.request(7, "pressed again").id == first.id
    clock.now += 0.2
    assert work_off(queue, tmp_path, says("done"))
    assert [job.state for job in queue.jobs()] == [JobState.FINISHED]


def test_a_finished_job_tells_what_came_of_it_and_when(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, says("12 samples"))
    done = queue.find(job.id)
    assert (done.state, done.note, done.created_at, done.started_at, done.ended_at, done.attempt) == (
        JobState.FINISHED,
        "12 samples",
        1000.0,
        1005.0,
        1005.0,
        1,
    )


def test_a_failing_job_tells_why_and_its_log_has_the_details(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, fails)
    done = queue.find(job.id)
    assert (done.state, done.note) == (JobState.FAILED, "ValueError: the third mask is missing")
    log = (job_folder(tmp_path, job.id) / LOG).read_text(encoding="utf-8")
    assert "Traceback" in log
    assert f"job {job.id}, project 7, attempt 1" in log


def test_a_job_whose_process_is_killed_has_failed(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, kills_itself)
    assert "SIGKILL; was there too little memory?" in queue.find(job.id).note
    assert queue.find(job.id).state is JobState.FAILED


def kills_itself(context: JobContext) -> str:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return "never said"


def test_a_job_that_leaves_python_without_a_word_has_failed(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    import os

    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, lambda context: os._exit(3))
    assert queue.find(job.id).note == "the job's process ended without a word, exit code 3"


def test_a_failed_job_goes_on_in_its_folder_when_tried_again(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    def work(context: JobContext) -> str:
        checkpoint = context.folder / "checkpoint"
        if not checkpoint.exists():
            checkpoint.write_text("half", encoding="utf-8")
            raise RuntimeError("interrupted")
        return f"went on from {checkpoint.read_text(encoding='utf-8')}"

    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, work)
    queue.retry(job.id)
    work_off(queue, tmp_path, work)
    done = queue.find(job.id)
    assert (done.state, done.note, done.attempt) == (JobState.FINISHED, "went on from half", 2)


def test_of_a_job_tried_again_and_a_new_one_the_old_one_stays(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    old = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, fails)
    new = queue.request(7, "")
    queue.retry(old.id)
    assert (queue.find(old.id).state, queue.find(new.id).state) == (JobState.QUEUED, JobState.STOPPED)


def test_a_queued_job_is_stopped_before_it_begins(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    job = queue.request(7, "")
    assert queue.stop(job.id).state is JobState.STOPPED
    clock.now += 5
    assert not work_off(queue, tmp_path, says("done"))


def test_a_running_job_is_ended_when_stopped(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    def work(context: JobContext) -> str:
        import time

        queue.stop(context.job.id)
        time.sleep(60)
        return "slept on"

    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, work)
    assert (queue.find(job.id).state, queue.find(job.id).note) == (JobState.STOPPED, "stopped")


def test_a_running_job_says_how_far_it_is(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    def work(context: JobContext) -> str:
        context.report("epoch 2 of 5")
        found = queue.find(context.job.id)
        return f"{found.state}: {found.note}"

    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, work)
    assert queue.find(job.id).note == "started: epoch 2 of 5"


def test_a_job_that_ran_when_its_trainer_died_is_queued_again(queue: SqliteQueue, clock: Clock, tmp_path: Path) -> None:
    job = started_job(queue, clock)
    later = queue.request(7, "asked for meanwhile")
    queue.recover()
    assert (queue.find(job.id).state, queue.find(later.id).note) == (JobState.QUEUED, f"job {job.id} does its work")
    assert work_off(queue, tmp_path, says("done"))
    assert (queue.find(job.id).state, queue.find(job.id).attempt) == (JobState.FINISHED, 2)


def test_a_job_that_was_to_be_stopped_when_its_trainer_died_is_stopped(queue: SqliteQueue, clock: Clock) -> None:
    job = started_job(queue, clock)
    queue.stop(job.id)
    queue.recover()
    assert queue.find(job.id).state is JobState.STOPPED


def started_job(queue: SqliteQueue, clock: Clock) -> Job:
    job = queue.request(7, "")
    clock.now += 5
    taken = queue._take()
    assert taken is not None
    assert taken.id == job.id
    return taken


@pytest.mark.parametrize("name", ["stop", "retry"])
def test_what_cannot_be_done_with_a_finished_job_is_refused(queue: SqliteQueue, clock: Clock, tmp_path: Path, name: str) -> None:
    job = queue.request(7, "")
    clock.now += 5
    work_off(queue, tmp_path, says("done"))
    with pytest.raises(JobError, match="is finished; only"):
        getattr(queue, name)(job.id)


def test_an_unknown_job_is_refused(queue: SqliteQueue) -> None:
    with pytest.raises(JobError, match="no job 'nonsense'"):
        queue.find("nonsense")


def test_jobs_are_listed_newest_first(queue: SqliteQueue, clock: Clock) -> None:
    for project in (1, 2, 3):
        queue.request(project, "")
        clock.now += 1
    assert [job.project for job in queue.jobs(2)] == [3, 2]
