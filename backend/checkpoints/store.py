"""The folder of published checkpoints: one folder for each, the converted profiles beside them, and a record of every file's digest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from backend.checkpoints.errors import CheckpointError, WrongFile
from models import Checkpoint

LOCK_FILE = "checkpoints.lock.json"
PARTIAL_SUFFIX = ".partial"
PROFILES = "profiles"

State = Literal["absent", "partial", "present"]


class Recorded(BaseModel):
    """What is known of a file since it was first fetched or verified."""

    model_config = ConfigDict(frozen=True)

    file: str
    """Its name in the checkpoint's folder."""
    size: int
    sha256: str
    source: str
    """Address it came from, or ``by hand``."""


_RECORDS = TypeAdapter(dict[str, Recorded])


class Store:
    """All files of one folder.

    Args:
        folder: need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def folder_of(self, checkpoint: Checkpoint) -> Path:
        """Where a checkpoint's file lies, or is to be placed by hand."""
        return self.folder / checkpoint.name

    def profile_folder(self, profile: str) -> Path:
        """Where a profile's weights folder lies once it is converted."""
        return self.folder / PROFILES / profile

    def find(self, checkpoint: Checkpoint) -> Path | None:
        """The file of a checkpoint: by its published name, else by its record, else the only one in its folder."""
        folder = self.folder_of(checkpoint)
        recorded = self.recorded(checkpoint)
        for name in filter(None, (checkpoint.file_name, recorded.file if recorded else None)):
            if (folder / name).is_file():
                return folder / name
        files = [path for path in folder.glob("*") if path.is_file() and path.suffix != PARTIAL_SUFFIX]
        return files[0] if len(files) == 1 and checkpoint.file_name is None else None

    def state_of(self, checkpoint: Checkpoint) -> State:
        """Whether the file is there, whole or in part; its content is not looked at."""
        if self.find(checkpoint) is not None:
            return "present"
        return "partial" if any(self.folder_of(checkpoint).glob(f"*{PARTIAL_SUFFIX}")) else "absent"

    def recorded(self, checkpoint: Checkpoint) -> Recorded | None:
        """What was written down about a checkpoint's file."""
        return self._records().get(checkpoint.name)

    def record(self, checkpoint: Checkpoint, entry: Recorded) -> None:
        """Write down a file's digest, to be compared with from now on."""
        records = self._records() | {checkpoint.name: entry}
        text = json.dumps({name: records[name].model_dump() for name in sorted(records)}, indent=1) + "\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{LOCK_FILE}.{os.getpid()}{PARTIAL_SUFFIX}"
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.folder / LOCK_FILE)

    def expected_digest(self, checkpoint: Checkpoint, file: str) -> str | None:
        """SHA-256 that a file must have: the published one, else the one recorded for a file of that name."""
        if checkpoint.sha256 is not None:
            return checkpoint.sha256
        recorded = self.recorded(checkpoint)
        return recorded.sha256 if recorded is not None and recorded.file == file else None

    def check_digest(self, checkpoint: Checkpoint, path: Path) -> bool:
        """Compare a file's digest with the one it must have, or record it where nobody published one.

        Returns:
            whether there was a digest to compare with.

        Raises:
            WrongFile: it is another.
        """
        expected, found = self.expected_digest(checkpoint, path.name), digest_of(path)
        if expected is None:
            self.record(checkpoint, Recorded(file=path.name, size=path.stat().st_size, sha256=found, source="by hand"))
            return False
        if found != expected:
            raise WrongFile(
                f"{path} has SHA-256 {found}, expected {expected}: it is damaged or another file; {_how_to_replace(checkpoint, path)}"
            )
        return True

    def _records(self) -> dict[str, Recorded]:
        path = self.folder / LOCK_FILE
        try:
            return _RECORDS.validate_json(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"{path} cannot be read ({reason}); remove it: digests that nobody published are recorded anew"
            ) from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _how_to_replace(checkpoint: Checkpoint, path: Path) -> str:
    return f"remove {path} and run: wordmask checkpoints fetch {checkpoint.name}"
