"""Events on disk: none is lost, none is counted twice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from backend import event_store
from backend.errors import StorageError
from backend.event_store import EventStore, Unasked
from backend.events import Event

CREATED = Event("ANNOTATION_CREATED", 3, (7,), (5,), "2026-11-21T02:24:03.859766Z", corrections=1)


def store(tmp_path: Path) -> EventStore:
    return EventStore(tmp_path / "state" / "events.sqlite3", clock=lambda: 100.0)


def test_an_event_is_there_for_whoever_opens_the_file_next(tmp_path: Path) -> None:
    number = store(tmp_path).record(CREATED)

    (found,) = store(tmp_path).waiting()
    assert (found.id, found.event, found.received_at, found.outcome) == (number, CREATED, 100.0, None)


def test_a_repeated_event_is_kept_once(tmp_path: Path) -> None:
    events = store(tmp_path)
    assert events.record(CREATED) is not None
    assert events.record(CREATED) is None
    assert len(events.waiting()) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(dataclasses.replace(CREATED, updated_at="2026-11-21T02:25:00Z"), id="changed again"),
        pytest.param(dataclasses.replace(CREATED, annotations=(8,)), id="of another annotation"),
        pytest.param(dataclasses.replace(CREATED, action="ANNOTATION_UPDATED"), id="another action"),
        pytest.param(dataclasses.replace(CREATED, project=4), id="of another project"),
    ],
)
def test_what_only_looks_like_a_repetition_is_kept(tmp_path: Path, other: Event) -> None:
    events = store(tmp_path)
    events.record(CREATED)
    assert events.record(other) is not None


def test_events_that_nothing_tells_apart_are_all_kept(tmp_path: Path) -> None:
    events = store(tmp_path)
    for _ in range(2):
        events.record(Event("START_TRAINING", 3))
    assert len(events.waiting()) == 2


def test_a_settled_event_waits_no_more_and_tells_what_came_of_it(tmp_path: Path) -> None:
    events = store(tmp_path)
    number = events.record(CREATED)
    assert number is not None
    events.settle([number], "1 used")
    assert events.waiting() == []
    assert [found.outcome for found in events.recent()] == ["1 used"]


def test_corrections_are_counted_until_training_was_asked_for_them(tmp_path: Path) -> None:
    events = store(tmp_path)
    events.record(CREATED)
    last = events.record(dataclasses.replace(CREATED, annotations=(8,)))
    assert last is not None
    assert events.unasked() == [Unasked(3, 2, 100.0, last)]
    events.mark_asked(3, last)
    assert events.unasked() == []
    events.record(dataclasses.replace(CREATED, annotations=(9,)))
    assert [found.corrections for found in events.unasked()] == [1]


def test_the_oldest_events_of_a_great_many_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_store, "KEPT_EVENTS", 2)
    events = store(tmp_path)
    for number in range(4):
        events.record(Event("PROJECT_UPDATED", number))
    events.settle([4], "done")
    assert [found.event.project for found in events.recent()] == [3, 2]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match="WORDMASK_DATA_DIR"):
        store(tmp_path).record(CREATED)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "events.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match=r"events\.sqlite3"):
        store(tmp_path).record(CREATED)
