"""The versions of a project on disk: each change is there as a whole or not at all, and none of them loses what served."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import StorageError
from backend.versions.line import VersionLine, lines
from backend.versions.manifest import NoSuchVersion, VersionError
from tests.backend.versions.drafts import make_manifest, publish, write_draft


@pytest.fixture
def line(tmp_path: Path) -> VersionLine:
    return VersionLine(tmp_path, 7)


def names(line: VersionLine) -> list[str]:
    return [version.name for version in line.versions()]


def serving(line: VersionLine) -> str | None:
    found = line.serving()
    return found.name if found else None


def test_a_project_without_versions_is_served_by_the_base(line: VersionLine) -> None:
    assert (names(line), serving(line), line.stamp(), line.next_number()) == ([], None, (0, 0), 1)


def test_a_published_version_serves_and_the_next_one_takes_over(line: VersionLine) -> None:
    first = publish(line, "a")
    stamp = line.stamp()
    second = publish(line, "b")
    assert (first.number, second.number) == (1, 2)
    assert second.manifest.parent == "a"
    assert serving(line) == "b"
    assert line.stamp() != stamp
    assert [found.project for found in lines(line.data_dir)] == [7]


def test_rolling_back_brings_the_parent_back_bit_for_bit(line: VersionLine) -> None:
    first = publish(line, "a")
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    publish(line, "b")
    rolled = line.roll_back()
    assert rolled is not None
    assert serving(line) == "a"
    assert {path.name: path.read_bytes() for path in rolled.folder.iterdir()} == before
    assert line.roll_back() is None, "what was before the first version is the base"
    assert serving(line) is None
    with pytest.raises(VersionError, match="nothing before"):
        line.roll_back()


@pytest.mark.parametrize(("to", "expected"), [("a", "a"), ("1", "a"), ("b", "b"), ("base", None)])
def test_any_version_can_serve_by_name_or_number(line: VersionLine, to: str, expected: str | None) -> None:
    for name in "abc":
        publish(line, name)
    line.roll_back(to)
    assert serving(line) == expected
    assert names(line) == ["a", "b", "c"], "nothing is lost by it"


def test_an_unknown_version_is_named_and_those_that_are_there(line: VersionLine) -> None:
    publish(line, "a")
    with pytest.raises(NoSuchVersion, match="no version 'x'; it has: a"):
        line.roll_back("x")
    assert serving(line) == "a"


def test_numbers_go_on_after_a_roll_back(line: VersionLine) -> None:
    publish(line, "a")
    publish(line, "b")
    line.roll_back()
    assert publish(line, "c").number == 3
    assert line.versions()[-1].manifest.parent == "a"


def test_pruning_keeps_the_newest_the_one_that_serves_and_its_parent(line: VersionLine) -> None:
    for name in "abcdefg":
        publish(line, name)
    line.roll_back("c")
    assert line.prune(keep=2) == ["a", "d", "e"]
    assert names(line) == ["b", "c", "f", "g"]
    assert serving(line) == "c"
    assert line.prune(keep=2) == []
    assert not list(line.folder.glob(".pruned*"))


def test_an_incomplete_draft_is_refused_and_nothing_changes(line: VersionLine) -> None:
    publish(line, "a")
    draft = write_draft(line.new_draft(), make_manifest("b"))
    (draft / "delta.safetensors").unlink()
    with pytest.raises(VersionError, match=r"has no delta\.safetensors"):
        line.publish(draft)
    assert (names(line), serving(line)) == (["a"], "a")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"number": "1"}'], ids=["empty", "cut off", "a list", "a text"])
def test_a_damaged_pointer_is_told_and_can_be_set_right(line: VersionLine, damage: bytes) -> None:
    publish(line, "a")
    (line.folder / "serving").write_bytes(damage)
    with pytest.raises(VersionError, match="wordmask versions rollback"):
        line.serving()
    line.roll_back("a")
    assert serving(line) == "a"


def test_a_damaged_version_is_passed_over(line: VersionLine) -> None:
    publish(line, "a")
    publish(line, "b")
    (line.folder / "1" / "manifest.json").write_text("{")
    assert names(line) == ["b"]
    assert line.next_number() == 3


def test_versions_of_an_older_project_of_the_same_number_count_for_nothing(line: VersionLine) -> None:
    publish(line, "old", created="2020-01-01T00:00:00+00:00")
    newer = VersionLine(line.data_dir, 7, since=time.time() - 60)
    assert (names(newer), serving(newer)) == ([], None)
    assert publish(newer, "new").number == 2
    assert (names(newer), serving(newer)) == (["new"], "new")


def test_a_folder_that_cannot_be_written_is_told_and_what_served_goes_on(line: VersionLine, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(line, "a")
    draft = write_draft(line.new_draft(), make_manifest("b"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        line.publish(draft)
    monkeypatch.undo()
    assert serving(line) == "a"


def test_what_a_killed_job_left_is_removed_by_the_next(line: VersionLine) -> None:
    write_draft(line.new_draft())
    assert not line.new_draft().exists()


def test_what_was_left_out_of_sight_goes_once_nobody_can_be_at_it(line: VersionLine) -> None:
    publish(line, "a")
    for name in (".pruned-x", ".serving-x"):
        (line.folder / name).mkdir()
        (line.folder / name / "file").touch()
    os.utime(line.folder / ".pruned-x", (1, 1))
    line.discard_drafts()
    assert not (line.folder / ".pruned-x").exists()
    assert (line.folder / ".serving-x").exists()


def _hold(line: VersionLine, started: Any) -> None:
    with line.training():
        started.set()
        time.sleep(60)


def test_two_jobs_train_a_project_one_after_the_other_and_a_killed_one_lets_go(line: VersionLine) -> None:
    processes = multiprocessing.get_context("fork")
    started = processes.Event()
    holder = processes.Process(target=_hold, args=(line, started))
    holder.start()
    started.wait(10)
    waiter = processes.Process(target=_hold, args=(line, second := processes.Event()))
    waiter.start()
    try:
        assert not second.wait(0.3)
        holder.kill()
        assert second.wait(10)
    finally:
        for process in (holder, waiter):
            process.kill()
            process.join()


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not [name for name in os.listdir(tmp_path) if name != "versions"]
    shutil.rmtree(tmp_path / "versions", ignore_errors=True)
