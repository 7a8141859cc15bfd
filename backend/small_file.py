"""A few facts in a file that is replaced at once, so that no reader meets half of them."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_facts(path: Path) -> dict[str, Any]:
    """The facts, empty where there is no such file.

    Raises:
        ValueError: what is there is no JSON object.
        OSError: it cannot be read.
    """
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    if not isinstance(facts, dict):
        raise ValueError(f"expected an object, found {type(facts).__name__}")
    return facts


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Replace the file; after a power cut it holds the old facts or the new ones.

    Raises:
        OSError: the disk is full, or the folder is not ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
