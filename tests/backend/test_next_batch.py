"""The next batch of a project: what is chosen, what is not looked at twice, and what cannot be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.dataset.source import ProjectSource
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.label_studio import LabelStudioClient
from backend.looked_at import Look, LookedAt, content_of
from backend.next_batch import NextBatch
from models import Evidence, Judged, RgbImage, answer_doubt, task_doubt
from tests.backend.dataset.studio import CONFIG, Studio, brush, studio
from tests.factories import FakeEngine, make_settings

RED, BLUE, GREEN = (200, 20, 20), (20, 20, 200), (20, 200, 20)


class ByColour(FakeEngine):
    """Doubts the more, the less red an image is."""

    def segment_judged(self, image: RgbImage, phrases: list[str]) -> list[Judged]:
        stability = float(image[0, 0, 0]) / 255
        return [Judged(found, Evidence(True, 1.0, 1.0, stability)) for found in self.segment(image, phrases)]


@pytest.fixture
def running() -> Iterator[Studio]:
    with studio() as server:
        yield server


def next_batch(running: Studio, folder: Path, engine: FakeEngine, config: str = CONFIG) -> NextBatch:
    settings, client = make_settings(folder), LabelStudioClient(running.url, "0123456789abcdef")
    looked_at, images = LookedAt(folder / "looked-at.sqlite3"), ImageLoader(settings, client)
    return NextBatch(ProjectSource(client, 1), config, parse_label_config(config), engine, images, settings, looked_at)


def test_doubtful_tasks_that_are_unlike_each_other_are_chosen(running: Studio, tmp_path: Path) -> None:
    sure, doubtful, like_it, other = (running.add_task(colour) for colour in (RED, BLUE, (21, 20, 200), GREEN))
    choice = next_batch(running, tmp_path, ByColour()).choose(2)
    assert [one.task for one in choice.chosen] == [doubtful, other]
    told = answer_doubt(Evidence(is_found=True, presence=1.0, predicted_iou=1.0, stability=20 / 255))
    assert choice.chosen[0].doubt == pytest.approx(task_doubt([told, told]))  # of two labels
    assert (choice.waiting, choice.annotated, choice.failed) == (4, 0, {})
    everything = next_batch(running, tmp_path, ByColour()).choose(9).chosen
    assert {one.task for one in everything} == {sure, doubtful, like_it, other}


def test_what_is_annotated_is_not_chosen_and_pushes_its_like_back(running: Studio, tmp_path: Path) -> None:
    blue, green, _ = running.add_task(BLUE), running.add_task(GREEN), running.add_task((20, 21, 200))
    assert [one.task for one in next_batch(running, tmp_path, ByColour()).choose(1).chosen] == [blue]
    running.annotate(blue, brush())
    choice = next_batch(running, tmp_path, ByColour()).choose(1)
    assert [one.task for one in choice.chosen] == [green]
    assert (choice.waiting, choice.annotated) == (2, 1)


def test_nobody_looks_twice_unless_something_changed(running: Studio, tmp_path: Path) -> None:
    first = running.add_task(RED)
    running.add_task(BLUE)
    engine, told = ByColour(), []
    next_batch(running, tmp_path, engine).choose(1)
    again = ByColour()
    next_batch(running, tmp_path, again).choose(1, lambda done, total: told.append((done, total)))
    assert (len(engine.calls), again.calls, told) == (2, [], [(2, 2)])

    running.tasks[first]["data"]["note"] = "another image"
    next_batch(running, tmp_path, again).choose(1)
    assert len(again.calls) == 1, "the task that changed"
    newer = ByColour(version="fake-2.0.0+00000000")
    next_batch(running, tmp_path, newer).choose(1)
    assert len(newer.calls) == 2, "another version sees other things"
    next_batch(running, tmp_path, again, CONFIG.replace('"Cat"', '"Cow"')).choose(1)
    assert len(again.calls) == 3, "other labels are asked for"


def test_a_stopped_run_keeps_what_it_saw(running: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.next_batch._AT_ONCE", 2)
    for blue in range(5):
        running.add_task((20, 20, blue))
    engine = ByColour()

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next_batch(running, tmp_path, engine).choose(1, stop)
    next_batch(running, tmp_path, engine).choose(1)
    assert len(engine.calls) == 5


def test_a_task_that_cannot_be_looked_at_is_told_and_stops_nothing(running: Studio, tmp_path: Path) -> None:
    good = running.add_task(BLUE)
    broken = running.add_task(image="[x]/etc/passwd")
    choice = next_batch(running, tmp_path, ByColour()).choose(5)
    assert [one.task for one in choice.chosen] == [good]
    assert "not an address" in choice.failed[broken]


def test_an_empty_project_gives_an_empty_choice(running: Studio, tmp_path: Path) -> None:
    assert next_batch(running, tmp_path, ByColour()).choose(5).chosen == ()


def test_looks_come_back_as_they_were(tmp_path: Path) -> None:
    kept = LookedAt(tmp_path / "looked-at.sqlite3")
    look = Look(7, content_of({"image": "a"}, CONFIG), 0.25, np.array([0.6, 0.8], np.float32))
    kept.keep("v1", [look])
    found = kept.find("v1", {7: look.content})[7]
    assert (found.task, found.content, found.doubt, found.vector.tolist()) == (7, look.content, 0.25, look.vector.tolist())
    assert kept.find("v2", {7: look.content}) == {}
    assert kept.find("v1", {7: content_of({"image": "b"}, CONFIG)}) == {}


def test_looks_of_the_three_versions_that_looked_last_stay(tmp_path: Path) -> None:
    kept = LookedAt(tmp_path / "looked-at.sqlite3")
    seen, other = (Look(task, content_of({"image": "a"}, CONFIG), 0.25, np.array([1.0], np.float32)) for task in (7, 8))
    kept.keep("v0", [other])
    for version in ("v1", "v2", "v3", "v1", "v4"):
        kept.keep(version, [seen])
    assert [version for version in ("v1", "v2", "v3", "v4") if kept.find(version, {7: seen.content})] == ["v1", "v3", "v4"]
    assert kept.find("v0", {8: other.content})
