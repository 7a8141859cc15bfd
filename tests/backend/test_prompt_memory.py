"""The last prompt per project and label, on disk."""

from __future__ import annotations

import threading
from pathlib import Path

from backend.prompt_memory import PromptMemory


def test_a_prompt_survives_a_restart(tmp_path: Path) -> None:
    PromptMemory(tmp_path / "state" / "prompts.sqlite3").remember("1.100", "Dog", "the left dog")
    assert PromptMemory(tmp_path / "state" / "prompts.sqlite3").recall("1.100") == {"Dog": "the left dog"}


def test_the_last_prompt_of_each_label_is_kept(tmp_path: Path) -> None:
    memory = PromptMemory(tmp_path / "prompts.sqlite3")
    memory.remember("1.100", "Dog", "a dog")
    memory.remember("1.100", "Cat", "a cat")
    memory.remember("1.100", "Dog", "the left dog")
    assert memory.recall("1.100") == {"Dog": "the left dog", "Cat": "a cat"}


def test_a_project_that_was_made_anew_under_the_same_id_knows_nothing(tmp_path: Path) -> None:
    memory = PromptMemory(tmp_path / "prompts.sqlite3")
    memory.remember("1.100", "Dog", "a dog")
    assert memory.recall("1.200") == {}


def test_asking_an_empty_memory_writes_nothing(tmp_path: Path) -> None:
    assert PromptMemory(tmp_path / "prompts.sqlite3").recall("1.100") == {}
    assert list(tmp_path.iterdir()) == []


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        PromptMemory(tmp_path / "prompts.sqlite3").remember("1.100", f"label {number}", "x")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(PromptMemory(tmp_path / "prompts.sqlite3").recall("1.100")) == 8
