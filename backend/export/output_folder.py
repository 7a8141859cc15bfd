"""The folder of an export: written beside its place and moved there when it is whole, so that nobody ever reads half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import BadRequest

REPORT = "report.json"
"""Every export has it; a folder without it was not written here and is never replaced."""


def check_place(out: Path, *, overwrite: bool) -> None:
    """Raise ``BadRequest`` unless an export may be written to ``out``."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not (out / REPORT).is_file():
        raise BadRequest(f"{out} exists and is no earlier export; choose another --out")
    if not overwrite:
        raise BadRequest(f"{out} holds an earlier export; choose another --out, or replace it with --overwrite")


@contextmanager
def output_folder(out: Path) -> Iterator[Path]:
    """A new folder to write into, which becomes ``out`` when the block ends well and vanishes when it does not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        made = scratch / "new"
        made.mkdir()
        yield made
        if out.exists():
            out.rename(scratch / "old")
        os.replace(made, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
