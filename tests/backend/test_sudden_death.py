"""``kill -9`` at any moment: no event is lost, no half state is left, and what was begun ends.

Each round kills at a moment that a fixed seed chooses.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

from backend.dataset.prepare import sample_store
from backend.event_store import EventStore
from backend.events import Event
from backend.jobs.job import JobState
from backend.learning import build_learning
from backend.settings import Settings
from backend.versions.line import VersionLine
from tests.backend.dataset.studio import brush, studio
from tests.backend.doomed import Group, change_versions, serve, train
from tests.backend.versions.learner import SmallLearner
from tests.factories import make_settings
from tools.processes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROUNDS = 20


def is_whole(path: Path) -> bool:
    with sqlite3.connect(path) as database:
        return database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def wait_until(is_so: Callable[[], object], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# --- the service


def tell_events(url: str, first: int, process: Group, seconds: float) -> tuple[list[int], int]:
    """Post events until the service is killed in the midst of it; ids of those that were answered, and the next id."""
    answered, number = [], first
    killed_at = time.monotonic() + seconds
    with requests.Session() as session:
        while True:
            if time.monotonic() >= killed_at:
                process.kill()
            body = {
                "action": "ANNOTATION_CREATED",
                "annotation": {"id": number, "task": number, "updated_at": "t", "result": []},
                "project": {"id": 1},
            }
            try:
                if session.post(f"{url}/webhook", json=body, timeout=(0.5, 5)).status_code == 200:
                    answered.append(number)
            except requests.RequestException:
                if not process.is_alive:
                    return answered, number + 1
            number += 1


def test_a_killed_service_loses_no_event_that_it_has_answered(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    events = EventStore(tmp_path / "events.sqlite3")
    chance = random.Random(20261121)
    answered: list[int] = []
    number = 1
    for _ in range(ROUNDS):
        port = free_port()
        group, url = Group(serve, settings, port), f"http://127.0.0.1:{port}"
        wait_until(lambda url=url: _is_up(url))
        found, number = tell_events(url, number, group, chance.uniform(0.0, 0.3))
        answered += found

    kept = [stored.event.annotations[0] for stored in events.waiting(10**6)]
    assert len(answered) >= ROUNDS
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept)), "none is kept twice"
    assert is_whole(tmp_path / "events.sqlite3")


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


# --- the trainer


def test_a_killed_trainer_loses_no_event_shows_no_half_version_and_its_jobs_end(tmp_path: Path) -> None:
    with studio() as label_studio:
        settings = make_settings(
            tmp_path, label_studio_url=label_studio.url, label_studio_api_key=SecretStr("a token"), train_after_corrections=0
        )
        learning = build_learning(settings)
        chance = random.Random(20261121)
        newest = 0
        for number in range(ROUNDS):
            task = label_studio.add_task((number, 0, 0))
            annotation = label_studio.annotate(task, brush("Dog"))
            learning.take(Event("ANNOTATION_CREATED", 1, (annotation,), (task,), f"t{number}", corrections=1))
            learning.take(Event("START_TRAINING", 1))
            group = Group(train, settings)
            time.sleep(chance.uniform(0.0, 2.5))
            group.kill()
            newest = _check_state(tmp_path, settings, newest)

        last = Group(train, settings)
        wait_until(lambda: not learning.events.waiting())
        wait_until(lambda: all(job.ended_at for job in learning.queue.jobs()))
        last.kill()

        assert sample_store(settings).counts(1).samples == ROUNDS
        finished = [job for job in learning.queue.jobs() if job.state is JobState.FINISHED]
        merged = [job for job in learning.queue.jobs() if job.state is JobState.STOPPED and job.note.endswith("does its work")]
        assert len(finished) + len(merged) == len(learning.queue.jobs())
        assert max(job.attempt for job in finished) > 1, "the kills met running jobs"
        _check_versions(tmp_path, settings)


def test_whoever_changes_versions_and_is_killed_leaves_only_whole_ones_and_one_that_serves(tmp_path: Path) -> None:
    line = VersionLine(tmp_path, 1)
    chance = random.Random(20261121)
    number = 0
    for _ in range(ROUNDS):
        group = Group(change_versions, tmp_path, number + 1)
        wait_until(lambda number=number: line.next_number() > number + 1)
        time.sleep(chance.uniform(0.0, 0.2))
        group.kill()
        versions, serving = line.versions(), line.serving()
        folders = [path for path in line.folder.iterdir() if path.name.isdecimal()]
        assert len(versions) == len(folders), "every folder with a number is a whole version"
        assert all((version.folder / "delta.safetensors").read_text() == version.name for version in versions)
        assert serving is None or serving.name in {version.name for version in versions}
        assert line.next_number() > number
        number = line.next_number() - 1


def _check_state(folder: Path, settings: Settings, newest: int) -> int:
    """Everything on disk is whole, and the versions go on from where they were; the number of the newest one."""
    for name in ("events.sqlite3", "jobs.sqlite3", "samples.sqlite3"):
        assert not (folder / name).exists() or is_whole(folder / name)
    if (folder / "samples.sqlite3").exists():
        for sample in sample_store(settings).samples(1):
            assert Path(sample.image).exists(), "every sample has its image"
            assert sample.mask_of([1]).any()
    line = VersionLine(folder, 1)
    numbers = [version.number for version in line.versions()]
    assert line.next_number() == (numbers[-1] if numbers else 0) + 1, "every folder with a number is a whole version"
    assert (numbers[-1] if numbers else 0) >= newest
    line.serving()
    return numbers[-1] if numbers else 0


def _check_versions(folder: Path, settings: Settings) -> None:
    """The last version serves, has learned from everything, and each came of the one before."""
    line = VersionLine(folder, 1)
    versions, serving = line.versions(), line.serving()
    assert serving is not None
    assert serving.number == versions[-1].number
    names = [version.name for version in versions]
    assert [version.manifest.parent for version in versions[1:]] == names[:-1]
    gain = serving.manifest.candidate.mean - serving.manifest.serving.mean
    assert gain == pytest.approx(SmallLearner().gain * ROUNDS), "what came while a job was broken off is in it"
    assert not (line.folder / ".drafts").exists()
