"""A running service takes up versions: within seconds, with no request that waits or is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import NotReady
from backend.versions.engines import ProjectEngines, line_of
from backend.versions.line import VersionLine
from models import Engine
from tests.backend.versions.drafts import BASE, publish
from tests.factories import FakeEngine


class Loader:
    """Makes fake engines of version folders, as slowly or badly as a test wants."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None

    def __call__(self, folder: Path, base: Engine) -> Engine:
        self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        name = (folder / "delta.safetensors").read_text(encoding="utf-8")
        self.loaded.append(name)
        return FakeEngine(version=name)


class World:
    """Engines of projects, and the lines they come from."""

    def __init__(self, data_dir: Path, most: int = 4) -> None:
        self.data_dir = data_dir
        self.load = Loader()
        self.base = FakeEngine()
        self.problems: list[str] = []
        self.engines = ProjectEngines(
            data_dir, self.load, most=most, on_problem=lambda project, reason: self.problems.append(reason), poll_seconds=0.02
        )

    def line(self, project: int = 1) -> VersionLine:
        return VersionLine(self.data_dir, project)

    def version(self, project: str = "1", seconds: float = 5) -> str:
        """Of the engine that a request is lent now."""
        return self.engines.engine(project, self.base, time.monotonic() + seconds).version


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def wait_until(is_so: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_project_without_versions_gets_the_base_and_its_first_version_when_it_comes(world: World) -> None:
    assert world.version() == BASE
    publish(world.line(), "v1")
    wait_until(lambda: world.version() == "v1")
    assert world.version("2") == BASE, "other projects have lines of their own"


def test_after_a_restart_the_first_request_waits_for_its_version_instead_of_being_answered_by_another(world: World) -> None:
    publish(world.line(), "v1")
    assert world.engines.version("1", BASE) == "v1"
    assert world.version() == "v1"


def test_while_a_new_version_loads_the_old_one_answers(world: World) -> None:
    publish(world.line(), "v1")
    assert world.version() == "v1"
    world.load.gate.clear()
    publish(world.line(), "v2")
    for _ in range(20):
        assert world.version(seconds=0) == "v1"
        time.sleep(0.01)
    assert world.engines.version("1", BASE) == "v1", "what is told is what answers"
    world.load.gate.set()
    wait_until(lambda: world.version(seconds=0) == "v2")


def test_no_request_fails_while_versions_change_under_load(world: World) -> None:
    publish(world.line(), "v0")
    assert world.version() == "v0"
    seen: list[str] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                seen.append(world.version(seconds=0))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test fails of it
                failures.append(error)
            time.sleep(0.001)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        publish(world.line(), f"v{number}")
        wait_until(lambda number=number: seen[-1] == f"v{number}")
    world.line().roll_back("v2")
    wait_until(lambda: seen[-1] == "v2")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(seen) == {f"v{number}" for number in range(6)}


def test_rolling_back_to_the_base_is_taken_up(world: World) -> None:
    publish(world.line(), "v1")
    assert world.version() == "v1"
    world.line().roll_back()
    wait_until(lambda: world.version() == BASE)
    assert world.engines.version("1", BASE) == BASE


def test_a_request_that_cannot_wait_longer_is_told_so(world: World) -> None:
    publish(world.line(), "v1")
    world.load.gate.clear()
    with pytest.raises(NotReady, match="still loading"):
        world.version(seconds=0.05)
    world.load.gate.set()
    assert world.version() == "v1"


def test_a_version_that_cannot_be_loaded_is_told_once_and_the_old_one_goes_on(world: World) -> None:
    publish(world.line(), "v1")
    assert world.version() == "v1"
    world.load.failure = RuntimeError("the delta is damaged")
    publish(world.line(), "v2")
    wait_until(lambda: world.problems)
    time.sleep(0.1)
    assert world.version() == "v1"
    (problem,) = world.problems
    assert "the delta is damaged" in problem
    world.line().roll_back("v1")
    world.load.failure = None
    time.sleep(0.1)
    assert world.version() == "v1"


def test_where_no_version_can_be_loaded_the_base_answers_under_its_own_name(world: World) -> None:
    world.load.failure = RuntimeError("the delta is damaged")
    publish(world.line(), "v1")
    assert world.version() == BASE
    assert world.engines.version("1", BASE) == BASE


def test_a_version_of_other_weights_does_not_serve(world: World) -> None:
    world.base.version = "fake-2.0.0+11111111"
    publish(world.line(), "v1")
    assert world.engines.version("1", world.base.version) == world.base.version
    assert world.version() == "fake-2.0.0+11111111"
    assert "belongs to the weights fake-1.0.0" in world.problems[0]
    assert not world.load.loaded


def test_the_longest_unused_project_makes_room_and_comes_back_when_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, most=2)
    for project in (1, 2, 3):
        publish(world.line(project), f"p{project}")
    assert [world.version(project) for project in "1213"] == ["p1", "p2", "p1", "p3"]
    assert [world.version(project) for project in "132"] == ["p1", "p3", "p2"]
    assert world.load.loaded == ["p1", "p2", "p3", "p2"]


def test_a_damaged_pointer_changes_nothing(world: World) -> None:
    publish(world.line(), "v1")
    assert world.version() == "v1"
    (world.line().folder / "serving").write_text("{")
    wait_until(lambda: world.problems)
    assert world.version() == "v1"


@pytest.mark.parametrize(
    ("project", "number", "since"),
    [
        pytest.param("12.1795227770", 12, 1795227770.0, id="as Label Studio sends it"),
        pytest.param("12", 12, 0.0, id="a number"),
        pytest.param("12.x", 12, 0.0, id="no epoch"),
        pytest.param("", None, None, id="nothing"),
        pytest.param("../../etc", None, None, id="a path"),
        pytest.param("-1", None, None, id="negative"),
        pytest.param("٣", None, None, id="a digit of another script"),
        pytest.param("9" * 50, None, None, id="too long"),
    ],
)
def test_the_project_of_a_request_is_read(tmp_path: Path, project: str, number: int | None, since: float | None) -> None:
    line = line_of(tmp_path, project)
    assert (line and line.project, line and line.since) == (number, since)
