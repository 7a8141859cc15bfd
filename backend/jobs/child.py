"""A job's process: made by ``fork`` so that it may run anything it is given, watched, ended, and heard out."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable

from backend.jobs.job import LONGEST_NOTE, Ending, JobState

GRACE_SECONDS = 10.0
"""A job that is told to end is killed after this time."""


class ChildProcess:
    """Runs ``action`` in a child. The caller must have a single thread and must not have used a GPU.

    Args:
        action: returns one line that tells what came of it.
    """

    def __init__(self, action: Callable[[], str]) -> None:
        self._told_to_end: float | None = None
        self._ending: Ending | None = None
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reading)
            _be_the_child(action, writing)
        os.close(writing)

    def is_running(self, wait_seconds: float) -> bool:
        """Wait up to ``wait_seconds`` for the child's end; whether it still runs."""
        if self._ending is not None:
            return False
        if self._told_to_end is not None and time.monotonic() - self._told_to_end > GRACE_SECONDS:
            os.kill(self.pid, signal.SIGKILL)
        # The pipe ends with the child, also with one that is killed.
        if not select.select([self._reading], [], [], wait_seconds)[0]:
            return True
        told = b"".join(iter(lambda: os.read(self._reading, 1 << 16), b""))
        os.close(self._reading)
        _, status = os.waitpid(self.pid, 0)
        self._ending = _ending_of(told, status)
        return False

    def end(self) -> None:
        """Tell the child to end; go on asking :meth:`is_running`."""
        if self._told_to_end is None and self._ending is None:
            self._told_to_end = time.monotonic()
            os.kill(self.pid, signal.SIGTERM)

    @property
    def ending(self) -> Ending:
        """How it ended; only once it does not run any more."""
        assert self._ending is not None, "the child still runs"
        return self._ending


def _be_the_child(action: Callable[[], str], writing: int) -> None:
    """Never returns, so that nothing of the parent's program goes on in the child."""
    ending = Ending(JobState.FAILED, "ended early")
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trainer decides what it means
        ending = Ending(JobState.FINISHED, action())
    except BaseException as error:  # noqa: BLE001 - whatever it was, the job failed of it
        traceback.print_exc()
        ending = Ending(JobState.FAILED, f"{type(error).__name__}: {error}")
    finally:
        os.write(writing, json.dumps([ending.state, ending.note[:LONGEST_NOTE]]).encode())
        os._exit(0)


def _ending_of(told: bytes, status: int) -> Ending:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = "; was there too little memory?" if number == signal.SIGKILL else ""
        return Ending(JobState.FAILED, f"the job's process was ended by {signal.Signals(number).name}{hint}")
    try:
        state, note = json.loads(told)
        return Ending(JobState(state), note)
    except ValueError:
        return Ending(JobState.FAILED, f"the job's process ended without a word, exit code {os.waitstatus_to_exitcode(status)}")
