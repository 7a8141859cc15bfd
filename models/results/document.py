"""The files of one evaluation: ``NAME.json`` with all figures, and ``NAME.rows.jsonl.gz`` with one line per sample."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

FORMAT = "wordmask-evaluation"
VERSION = 1
"""Raised whenever older readers would misunderstand the files."""

ROWS_SUFFIX = ".rows.jsonl.gz"
_KEPT_SKIPS = 100
_FIELDS = ("command", "wordmask", "weights", "data", "protocols", "referring", "prompts", "semantic", "instances", "skipped", "rows")


class ResultsError(ValueError):
    """Files that are no results, are damaged, or cannot be compared."""


@dataclass(slots=True)
class Skipped:
    """What could not be evaluated, counted whole and listed up to a limit."""

    count: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, image: str, what: str, why: str) -> None:
        """Note one thing that was left out."""
        self.count += 1
        if len(self.examples) < _KEPT_SKIPS:
            self.examples.append({"image": image, "what": what, "why": why})

    def to_json(self) -> dict[str, Any]:
        """As it stands in the results."""
        return {"count": self.count, "examples": self.examples}


class RowWriter:
    """Writes rows as they come; the file appears under its name only after :meth:`close`, the same bytes for the same rows.

    Use it in a ``with`` block; a block that fails leaves no file.

    Args:
        results: path of the results' JSON file; the rows lie beside it.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, results: Path) -> None:
        self.path = results.with_name(results.stem + ROWS_SUFFIX)
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._raw = self._partial.open("wb")
        self._lines = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw, mtime=0)
        self._count = 0

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._raw.close()
        self._partial.unlink(missing_ok=True)

    def add(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self._lines.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
        self._count += 1

    def close(self) -> dict[str, Any]:
        """Complete the file and describe it for the results."""
        self._lines.close()
        self._raw.close()
        os.replace(self._partial, self.path)
        return {"file": self.path.name, "sha256": _digest(self.path), "count": self._count}


@dataclass(frozen=True, slots=True)
class Results:
    """The figures of one evaluation, as they stand in its JSON file, and where its rows are."""

    path: Path
    figures: dict[str, Any]

    @property
    def title(self) -> str:
        """Weights, data and split in one line."""
        data = self.figures["data"]
        return f"{self.figures['weights']['version']} on {data['name']}" + (f", {data['split']}" if data["split"] else "")

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows, one after the other.

        Raises:
            ResultsError: the file is missing, or is not the one that was written with these figures.
        """
        described = self.figures["rows"]
        path = self.path.with_name(Path(str(described["file"])).name)
        try:
            is_same = _digest(path) == described["sha256"]
        except OSError as error:
            raise ResultsError(f"the rows of {self.path} are missing ({path.name}: {error.strerror}); keep both files together") from error
        if not is_same:
            raise ResultsError(f"{path} does not belong to {self.path}; evaluate again to have both of one run")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def save_results(path: Path, figures: dict[str, Any]) -> Results:
    """Write the JSON file of an evaluation.

    Args:
        path: of the file.
        figures: every field of the schema except ``format`` and ``version``.
    """
    missing = [name for name in _FIELDS if name not in figures]
    if missing:
        raise ValueError(f"results lack the fields {', '.join(missing)}")
    document = {"format": FORMAT, "version": VERSION, **figures}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Results(path, document)


def load_results(path: Path) -> Results:
    """Read the JSON file of an evaluation.

    Raises:
        ResultsError: it is missing, no JSON, of another format or version, or lacks a field.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"cannot read the results {path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultsError(f"{path} is no JSON ({error}); expected the file that `wordmask evaluate --out` wrote") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ResultsError(f"{path} holds no results of an evaluation; expected the file that `wordmask evaluate --out` wrote")
    if found.get("version") != VERSION:
        raise ResultsError(f"{path} has version {found.get('version')!r}, this program reads version {VERSION}; evaluate again")
    missing = [name for name in _FIELDS if name not in found]
    if missing:
        raise ResultsError(f"{path} lacks the fields {', '.join(missing)}; evaluate again")
    return Results(path, found)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
