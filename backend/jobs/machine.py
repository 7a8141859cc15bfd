"""What holds a trainer's processes together: one trainer per data folder, and no child that outlives it."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

from backend.errors import BackendError

_LOOK_SECONDS = 0.05


class TrainerRuns(BackendError):  # noqa: N818 - says what was found
    """Another trainer of this data folder is at work."""

    status = 409
    code = "trainer_runs"


class MachineLock:
    """Held by the trainer and, through ``fork``, by its child: while either lives, nobody else begins. The kernel releases it at their end.

    Args:
        path: a file that nothing else is written to.
        patience_seconds: so long somebody else may still hold it. A process that was killed takes a moment to give its memory back, and
            keeps the lock until it has.

    Raises:
        TrainerRuns: somebody else holds it.
    """

    def __init__(self, path: Path, patience_seconds: float = 0.0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a")
        deadline = time.monotonic() + patience_seconds
        while not self._take():
            if time.monotonic() >= deadline:
                self._file.close()
                raise TrainerRuns(f"another trainer works with {path.parent}; it does these jobs, too, so there is nothing to start")
            time.sleep(_LOOK_SECONDS)

    def _take(self) -> bool:
        """Whether it is ours now."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let others begin."""
        self._file.close()


class Lifeline:
    """A pipe from the trainer to its children that breaks when the trainer dies, however it dies."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def follow(self) -> None:
        """In a child: end with the trainer. Called once, right after the fork."""
        os.close(self._writing)
        threading.Thread(target=self._wait_and_end, name="lifeline", daemon=True).start()

    def release(self) -> None:
        """In the trainer, when it has no child any more."""
        os.close(self._reading)
        os.close(self._writing)

    def _wait_and_end(self) -> None:
        os.read(self._reading, 1)
        os.kill(os.getpid(), signal.SIGKILL)
