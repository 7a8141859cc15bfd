"""Which samples a project has learned from last, so that a second press of the button does not train the same once more."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from backend.small_file import read_facts, write_facts
from backend.versions.line import VersionLine

_LEARNED = "learned"
_SAMPLES = "samples.jsonl"


def lesson_of(dataset: Path, served_by: str) -> str:
    """Digest of the samples in a data set folder and of the version that learns from them: the same lesson teaches nothing twice."""
    with (dataset / _SAMPLES).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(served_by.encode())
    return digest.hexdigest()


def last_lesson(line: VersionLine) -> str | None:
    """The lesson that a project had last."""
    with suppress(OSError, ValueError):
        lesson = read_facts(line.folder / _LEARNED).get("lesson")
        return lesson if isinstance(lesson, str) else None
    return None


def note_lesson(line: VersionLine, lesson: str) -> None:
    """Note the lesson that was just learned from, whatever came of it."""
    write_facts(line.folder / _LEARNED, {"lesson": lesson})
