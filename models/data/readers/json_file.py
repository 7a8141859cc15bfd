"""Large JSON files, one element at a time: annotation files have gigabytes, a reader needs one entry of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from models.data.readers.source import DatasetReadError, DatasetSource

_CHUNK = 1 << 16
"""Bytes; the entries of a chunk are in memory together."""


class JsonFile:
    """One JSON file of a source. A damaged file gives what stands before the damage.

    Args:
        source: is told of the progress, and by :meth:`report` of damage.
        path: the file.

    Raises:
        DatasetReadError: there is no such file, or it may not be read.
    """

    def __init__(self, source: DatasetSource, path: Path) -> None:
        self.path = path
        self._source = source
        self._damage = ""
        self._counts: dict[str, int] = {}
        try:
            self._size = path.stat().st_size
            with path.open("rb"):
                pass
        except OSError as error:
            raise DatasetReadError(f"cannot read {path}: {error.strerror or error}; check the path") from error

    def items(self, key: str | None) -> Iterator[Any]:
        """Elements of the array under a key of the outermost object; with ``None`` those of the outermost array."""
        self._expect("{" if key else "[")
        name = key or "entries"
        self._counts[name] = 0
        with self.path.open("rb") as file:
            watched = _Watched(file, self._source, f"{name} of {self.path.name}", self._size)
            elements = ijson.items(watched, f"{key}.item" if key else "item", use_float=True, buf_size=_CHUNK)
            while True:
                try:
                    element = next(elements)
                except StopIteration:
                    return
                except (ijson.JSONError, ValueError, MemoryError) as error:
                    self._damage = " ".join(str(error).split())[:120]
                    return
                self._counts[name] += 1
                yield element

    def _expect(self, opening: str) -> None:
        with self.path.open("rb") as file:
            found = file.read(_CHUNK).lstrip()[:1].decode("latin-1")
        if found != opening:
            expected = "an object" if opening == "{" else "a list"
            raise DatasetReadError(f"{self.path} is not the expected JSON: expected {expected}, found {found!r} at its beginning")

    def report(self) -> None:
        """Tell the source of damage, once for the whole file."""
        if self._damage:
            counts = " and ".join(f"{count} {name}" for name, count in self._counts.items())
            what = f"the file is damaged or ends in the middle ({self._damage}); {counts} were read before"
            self._source.lost("damaged-file", what, "what comes after is left out; fetch the file again", file=self.path.name)


class _Watched:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, source: DatasetSource, name: str, size: int) -> None:
        self._file, self._source, self._name, self._size = file, source, name, size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._source.on_progress(self._name, self._file.tell(), self._size)
        return data


def first_items(path: Path, key: str | None, count: int = 1) -> list[Any]:
    """The first elements of an array as :meth:`JsonFile.items` gives them; fewer, or none, where there are no more."""
    try:
        return list(islice(JsonFile(DatasetSource(path), path).items(key), count))
    except DatasetReadError:
        return []
