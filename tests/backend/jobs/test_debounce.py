"""When training is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.event_store import EventStore
from backend.events import Event
from backend.jobs.debounce import Debounce
from backend.jobs.sqlite_queue import SqliteQueue


class World:
    """A store, a queue and the rule between them, at a time that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.events = EventStore(folder / "events.sqlite3", clock=lambda: self.now)
        self.queue = SqliteQueue(folder / "jobs.sqlite3", clock=lambda: self.now)
        self.rule = Debounce(self.events, self.queue, corrections=3, seconds=600, clock=lambda: self.now)
        self._count = 0

    def correct(self, times: int, project: int = 7) -> None:
        for _ in range(times):
            self._count += 1
            self.events.record(Event("ANNOTATION_CREATED", project, (self._count,), (self._count,), "t", corrections=1))

    def reasons(self) -> list[str]:
        self.rule()
        return [job.reason for job in self.queue.jobs()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_too_few_corrections_ask_for_nothing(world: World) -> None:
    world.correct(2)
    assert world.reasons() == []


def test_enough_corrections_ask_for_one_job(world: World) -> None:
    world.correct(4)
    assert world.reasons() == world.reasons() == ["4 new corrections"]


def test_a_few_corrections_ask_after_a_while(world: World) -> None:
    world.correct(1)
    world.now += 599
    assert world.reasons() == []
    world.now += 1
    assert world.reasons() == ["1 new correction in 10 minutes"]


def test_corrections_of_two_projects_are_counted_apart(world: World) -> None:
    world.correct(2, project=7)
    world.correct(2, project=8)
    assert world.reasons() == []


def test_corrections_after_a_job_was_asked_count_for_the_next_one(world: World) -> None:
    world.correct(3)
    world.reasons()
    world.queue.stop(world.queue.jobs()[0].id)
    world.correct(2)
    assert world.reasons() == ["3 new corrections"]
    world.correct(1)
    assert world.reasons() == ["3 new corrections", "3 new corrections"]


def test_a_waiting_start_event_asks_at_once_and_covers_the_corrections_before_it(world: World) -> None:
    world.correct(2)
    for _ in range(2):
        world.events.record(Event("START_TRAINING", 7))
    assert world.reasons() == ["asked for in Label Studio"]
    assert world.events.unasked() == []
    assert [found.event.action for found in world.events.waiting()] == ["ANNOTATION_CREATED"] * 2


@pytest.mark.parametrize(("corrections", "seconds"), [(0, 600), (3, 0)])
def test_either_rule_can_be_switched_off(world: World, corrections: int, seconds: float) -> None:
    rule = Debounce(world.events, world.queue, corrections, seconds, clock=lambda: world.now)
    world.correct(5 if corrections == 0 else 1)
    world.now += 0 if corrections == 0 else 10**6
    rule()
    assert world.queue.jobs() == []
