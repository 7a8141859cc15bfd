"""What a training job did, in its folder, for people: figures while it runs, scores and curve in the end. Kept when the rest of it goes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.jobs.trainer import LOG, job_folder
from backend.small_file import read_facts, write_facts

RECORD = "training.json"

_KEPT = (RECORD, LOG)
_KEPT_DAYS = 90
_EVERY_SECONDS = 1.0


class TrainingRecord:
    """The record of one job, read and written as a whole; what an earlier attempt has written is still there.

    Args:
        folder: of the job.
        clock: gives seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._written_at = -_EVERY_SECONDS
        self.told = _read(folder / RECORD)

    def note(self, **facts: Any) -> None:
        """Add facts, JSON values, and write them down at once.

        Raises:
            OSError: the disk is full.
        """
        self.told.update(facts)
        write_facts(self._folder / RECORD, self.told)
        self._written_at = self._clock()

    def note_now_and_then(self, **facts: Any) -> bool:
        """The same for what changes at every step: written once a second at most. Returns whether it was."""
        self.told.update(facts)
        if self._clock() - self._written_at < _EVERY_SECONDS:
            return False
        self.note()
        return True

    def tidy(self) -> None:
        """Remove what only the running job needed: checkpoints are large."""
        for path in self._folder.iterdir():
            if path.name not in _KEPT:
                _remove(path)


def read_record(data_dir: Path, job_id: str) -> dict[str, Any]:
    """What a job has recorded on this machine, as far as it came; empty for nothing.

    ``version`` is the name of what it makes; ``epoch``, ``epochs``, ``step``, ``steps``, ``figures`` and ``curve`` tell how far training
    is; ``candidate`` is the manifest of what came of it last, ``publishes`` of what was good enough to serve, ``instead_of`` what served
    until then, and ``published`` whether that is done.
    """
    return _read(job_folder(data_dir, job_id) / RECORD)


def forget_old_jobs(data_dir: Path) -> None:
    """Remove folders of jobs that nothing was written to for a long time; their queue has forgotten them as well."""
    with suppress(FileNotFoundError):
        for folder in (data_dir / "jobs").iterdir():
            if time.time() - folder.stat().st_mtime > _KEPT_DAYS * 86400:
                _remove(folder)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_facts(path)
    except (OSError, ValueError):
        return {}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
