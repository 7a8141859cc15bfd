"""Checks of any text file before it is committed: ``python -m tools.hygiene FILES...`` names what is wrong and where."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

LARGEST_TEXT_BYTES = 500_000
MERGE_MARK = re.compile(r"^(<{7} |={7}$|>{7} )")


def problems(text: str) -> Iterator[str]:
    """What is wrong with the text of a file, each as ``line: sentence``."""
    if "\r" in text:
        yield "1: has Windows line ends; use \\n"
    if text and not text.endswith("\n"):
        yield f"{text.count(chr(10)) + 1}: does not end with a newline"
    if text.endswith("\n\n"):
        yield f"{text.count(chr(10))}: ends with an empty line"
    for number, line in enumerate(text.splitlines(), start=1):
        if line != line.rstrip():
            yield f"{number}: ends with spaces"
        if MERGE_MARK.match(line):
            yield f"{number}: is the mark of a merge conflict"


def main(paths: list[str]) -> int:
    """Print every problem of every file; 1 when there is one."""
    found = False
    for path in map(Path, paths):
        if path.stat().st_size > LARGEST_TEXT_BYTES:
            print(f"{path}: has more than {LARGEST_TEXT_BYTES // 1000} kB of text; does every clone need it?")
            found = True
        for problem in problems(path.read_text(encoding="utf-8", errors="replace")):
            print(f"{path}:{problem}")
            found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
