"""The trainer beside the service: events become samples and jobs end, with nobody there but the process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from backend.cli import app
from backend.dataset.prepare import dataset_folder, prepare_samples, sample_store
from backend.events import Event
from backend.jobs.job import JobState
from backend.jobs.machine import MachineLock, TrainerRuns
from backend.learning import Learning, build_learning
from backend.settings import Settings
from backend.trainer_process import TrainerKeeper, build_trainer
from models.data.dataset_folder import DatasetFolder
from tests.backend.dataset.studio import Studio, brush, studio
from tests.factories import make_settings

TRAINER = (sys.executable, "-c", "from backend.cli import main; main()", "trainer", "--beside-service")


@pytest.fixture
def label_studio() -> Iterator[Studio]:
    with studio() as running:
        yield running


@pytest.fixture
def settings(label_studio: Studio, tmp_path: Path) -> Settings:
    return make_settings(tmp_path, label_studio_url=label_studio.url, label_studio_api_key=SecretStr("a token"), train_after_corrections=2)


@pytest.fixture
def learning(settings: Settings) -> Learning:
    return build_learning(settings)


def wait_until(is_so: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_corrections_become_samples_and_a_job_gets_them_ready(label_studio: Studio, settings: Settings, learning: Learning) -> None:
    for colour in ((1, 1, 1), (2, 2, 2)):
        task = label_studio.add_task(colour)
        annotation = label_studio.annotate(task, brush())
        learning.take(Event("ANNOTATION_CREATED", 1, (annotation,), (task,), f"t{task}", corrections=1))
    trainer = build_trainer(settings, prepare_samples(settings))

    assert not trainer.step(), "a fresh job waits for a moment"

    (job,) = learning.queue.jobs()
    assert (job.state, job.reason) == (JobState.QUEUED, "2 new corrections")
    assert sample_store(settings).counts(1).samples == 2
    wait_until(trainer.step)
    assert learning.queue.find(job.id).note.startswith("2 samples with 2 regions and 4 expressions are ready")
    assert len(list(DatasetFolder(dataset_folder(settings, 1)))) == 2


def test_a_job_without_label_studio_says_what_to_set(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    job = build_learning(settings).queue.request(1, "")
    trainer = build_trainer(settings)
    wait_until(trainer.step)
    assert "LABEL_STUDIO_URL is not set" in build_learning(settings).queue.find(job.id).note


def test_a_failing_chore_stops_nothing_else(
    label_studio: Studio, settings: Settings, learning: Learning, caplog: pytest.LogCaptureFixture
) -> None:
    learning.take(Event("ANNOTATION_CREATED", 1, (1,), (1,), "t", corrections=1))
    label_studio.failures = [500] * 100
    learning.take(Event("START_TRAINING", 1))
    trainer = build_trainer(settings, work=lambda context: "done")
    with caplog.at_level(logging.WARNING):
        wait_until(trainer.step)
    assert [job.state for job in learning.queue.jobs()] == [JobState.FINISHED]
    assert len(learning.events.waiting()) == 1
    assert "tried again in 10 s" in caplog.text


def test_a_trainer_that_takes_no_jobs_leaves_them_queued(label_studio: Studio, settings: Settings, learning: Learning) -> None:
    learning.queue.request(1, "")
    trainer = build_trainer(settings.model_copy(update={"takes_jobs": False}))
    time.sleep(2.1)
    assert not trainer.step()
    assert [job.state for job in learning.queue.jobs()] == [JobState.QUEUED]


def test_a_job_stands_back_for_everybody_else(settings: Settings, learning: Learning) -> None:
    learning.queue.request(1, "")
    before = os.nice(0)
    trainer = build_trainer(settings, work=lambda context: f"{os.nice(0) - before} {os.environ['OMP_NUM_THREADS']}")
    wait_until(trainer.step)
    assert [job.note for job in learning.queue.jobs()] in (["10 1"], [f"{19 - before} 1"])


def test_one_trainer_works_with_a_data_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.jobs.trainer._DYING_SECONDS", 0.1)
    lock = MachineLock(settings.data_dir / "trainer.lock")
    with pytest.raises(TrainerRuns, match="nothing to start"):
        build_trainer(settings).run()
    lock.release()


def test_a_trainer_waits_a_moment_for_one_that_is_dying(settings: Settings) -> None:
    dying = MachineLock(settings.data_dir / "trainer.lock")
    threading.Timer(0.2, dying.release).start()
    build_trainer(settings, is_to_leave=lambda: True).run()
    MachineLock(settings.data_dir / "trainer.lock").release()  # it has given the lock back


@pytest.mark.slow
def test_a_trainer_that_dies_is_started_again_and_ends_with_its_service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.trainer_process._RESTART_SECONDS", 0.1)
    keeper = TrainerKeeper(settings, TRAINER)
    keeper.start()

    def is_locked() -> bool:
        try:
            MachineLock(settings.data_dir / "trainer.lock").release()
        except TrainerRuns:
            return True
        return False

    wait_until(is_locked)
    assert keeper._process is not None
    first = keeper._process.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: keeper._process is not None and keeper._process.pid != first and is_locked())
    keeper.end()
    wait_until(lambda: not is_locked())


@pytest.mark.slow
def test_the_trainer_ends_when_its_service_was_killed(settings: Settings) -> None:
    service = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(600)"
    environment = {**os.environ, "WORDMASK_DATA_DIR": str(settings.data_dir), "LABEL_STUDIO_URL": "", "LABEL_STUDIO_API_KEY": ""}
    process = subprocess.Popen([sys.executable, "-c", service, *TRAINER], env=environment)

    def is_locked() -> bool:
        try:
            MachineLock(settings.data_dir / "trainer.lock").release()
        except TrainerRuns:
            return True
        return False

    wait_until(is_locked)
    process.kill()
    process.wait()
    wait_until(lambda: not is_locked())


# --- the commands


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command with these settings, expects success and returns what it printed."""
    assert settings.label_studio_url is not None
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("LABEL_STUDIO_URL", settings.label_studio_url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a token")

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_jobs_are_started_shown_stopped_and_tried_again_by_command(command: Callable[..., str]) -> None:
    assert "no job yet" in command("train", "status")
    job = command("train", "start", "--project", "1").split()[1]
    assert job in command("train", "status")
    assert '"state": "queued"' in command("train", "status", "--json")
    assert f"job {job} is stopped" in command("train", "stop", job)
    assert f"job {job} is queued" in command("train", "retry", job)
    assert "has printed nothing" in command("train", "log", job)
    assert "there is no job 'x'" in command("train", "stop", "x", code=1)


def test_what_a_job_printed_is_shown_by_command(command: Callable[..., str], settings: Settings, learning: Learning) -> None:
    job = learning.queue.request(1, "")
    trainer = build_trainer(settings, work=lambda context: print("epoch 1") or "done")  # type: ignore[func-returns-value]
    wait_until(trainer.step)
    assert "epoch 1" in command("train", "log", job.id)


def test_samples_are_pulled_shown_and_written_by_command(command: Callable[..., str], label_studio: Studio, tmp_path: Path) -> None:
    label_studio.annotate(label_studio.add_task(), brush())
    label_studio.annotate(label_studio.add_task((1, 1, 1)), brush(value=None))
    assert "dataset pull" in command("dataset", "show", "--project", "1", code=1)
    pulled = command("dataset", "pull", "--project", "1")
    assert "2 used" in pulled
    assert "has no value" in pulled
    shown = command("dataset", "show", "--project", "1")
    assert "2 samples" in shown
    assert "task 2" in shown
    assert '"samples": 2' in command("dataset", "show", "--project", "1", "--json")
    assert "2 samples, 1 regions" in command("dataset", "write", "--project", "1", str(tmp_path / "set"))
    assert len(DatasetFolder(tmp_path / "set")) == 2
