"""A JSON object with long lists, written item by item in constant memory and with the same bytes for the same items."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any


class JsonLists:
    """Lists of one JSON object, each in a file of its own until they are joined.

    Args:
        path: of the JSON file; the lists wait beside it.
        names: of the lists, in the order in which they will stand.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self._stack = ExitStack()
        self._waiting = {name: path.with_name(f"{path.name}.{name}") for name in names}
        self._files: dict[str, IO[str]] = {
            name: self._stack.enter_context(part.open("w", encoding="ascii")) for name, part in self._waiting.items()
        }
        self.counts = dict.fromkeys(names, 0)

    def __enter__(self) -> JsonLists:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        for part in self._waiting.values():
            part.unlink(missing_ok=True)

    def add(self, name: str, item: Mapping[str, Any]) -> int:
        """Append to a list; returns how many items it then has."""
        file = self._files[name]
        file.write(",\n" if self.counts[name] else "\n")
        file.write(dumps(item))
        self.counts[name] += 1
        return self.counts[name]

    def join(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Write the object: the values of ``before``, the lists, the values of ``after``."""
        with self._path.open("w", encoding="ascii") as file:
            file.write("{")
            file.writelines(f"{json.dumps(name)}: {dumps(value)},\n" for name, value in before.items())
            for number, (name, part) in enumerate(self._waiting.items()):
                self._files[name].flush()
                file.write(f"{',' if number else ''}{json.dumps(name)}: [")
                with part.open(encoding="ascii") as items:
                    shutil.copyfileobj(items, file)
                file.write("\n]")
            file.writelines(f",\n{json.dumps(name)}: {dumps(value)}" for name, value in after.items())
            file.write("}\n")


def dumps(value: Any) -> str:
    """JSON in ASCII, without numbers that JSON does not know."""
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))
