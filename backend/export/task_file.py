"""Tasks from a file, one at a time: an export of Label Studio (a JSON list) or one task per line, of any size.

``ijson`` rather than ``json``: a project with brush masks is easily 2 GB, and its parser in C is as fast as ``json`` on them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from backend.errors import BadRequest
from backend.findings import Finding, place

_FIRST_BYTES = 4096


def read_tasks(path: Path) -> Generator[dict[str, Any] | Finding, None, None]:
    """Yield the tasks of a file in its order, with the bytes of brush masks packed; in place of what is no task, why it is none.

    Where the file breaks off or is damaged, the tasks before that come and the rest is one finding.

    Raises:
        BadRequest: the file cannot be opened or is nothing like an export.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror}; expected a JSON export of Label Studio") from error
    with file:
        items = _items(file, path)
        seen: set[int] = set()
        number = 0
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
                yield _broken(number, error)
                return
            number += 1
            problem = _problem(item, seen, number)
            if problem is not None:
                yield problem
                continue
            seen.add(item["id"])
            yield pack_rle(item)


def _items(file: BinaryIO, path: Path) -> Iterator[Any]:
    head = file.read(_FIRST_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] not in (b"[", b"{"):
        raise BadRequest(f"{path} is no JSON export of Label Studio: expected a list of tasks, found {head[:20]!r}; export as JSON")
    file.seek(3 if file.seek(0) == 0 and file.read(3) == b"\xef\xbb\xbf" else 0)
    if head[:1] == b"[":
        items: Iterator[Any] = ijson.items(file, "item", use_float=True)
    else:
        items = ijson.items(file, "", multiple_values=True, use_float=True)
    return items


def _problem(item: Any, seen: set[int], number: int) -> Finding | None:
    if not isinstance(item, dict) or not isinstance(item.get("data"), dict):
        return Finding(
            "error", "no-task", place(entry=number), "not a task with data; expected an export as JSON, not JSON_MIN", "left out"
        )
    if type(item.get("id")) is not int:
        found = type(item.get("id")).__name__
        return Finding(
            "error", "no-task-id", place(entry=number), f"expected the task's id to be a whole number, found {found}", "left out"
        )
    if item["id"] in seen:
        return Finding(
            "error", "same-task", place(task=item["id"], entry=number), "the file holds this task twice", "the second one is left out"
        )
    return None


def _broken(number: int, error: Exception) -> Finding:
    reason = " ".join(str(error).split())[:120]
    return Finding(
        "error", "broken-file", place(), f"the file is damaged behind {number} tasks ({reason})", "the rest is left out; export it again"
    )


def pack_rle(task: dict[str, Any]) -> dict[str, Any]:
    """Brush masks as ``bytes`` in place of lists of numbers: a tenth of the memory, and quick to hand to another process.

    What is no list of bytes stays as it is and fails where it is read, with the region's name.
    """
    for key in ("annotations", "predictions"):
        found = task.get(key)
        for item in found if isinstance(found, list) else []:
            result = item.get("result") if isinstance(item, dict) else None
            for region in result if isinstance(result, list) else []:
                value = region.get("value") if isinstance(region, dict) else None
                if isinstance(value, dict) and isinstance(value.get("rle"), list):
                    _pack(value)
    return task


def _pack(value: dict[str, Any]) -> None:
    try:
        value["rle"] = bytes(value["rle"])
    except (TypeError, ValueError):
        return
