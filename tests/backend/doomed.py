"""Processes that tests kill: a service and a trainer, each in a group of its own.

They are forked from a process that has imported everything and has a single thread, so that a round takes no time for imports and no fork
copies a lock that some thread holds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from backend.app import create_app
from backend.server import listen, run_gunicorn
from backend.settings import Settings
from backend.trainer_process import build_trainer
from backend.versions import train as versions
from backend.versions.line import VersionLine
from tests.backend.versions.drafts import publish
from tests.backend.versions.learner import SmallLearner
from tests.factories import FakeEngine

STEPS = 60

_NURSERY = multiprocessing.get_context("forkserver")
_NURSERY.set_forkserver_preload([__name__])


class Group:
    """A function in a process group of its own, to be killed as a whole."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._process = _NURSERY.Process(target=_lead_a_group, args=(target, *arguments))
        self._process.start()

    @property
    def is_alive(self) -> bool:
        """Whether nobody has killed it yet."""
        return self._process.exitcode is None

    def kill(self) -> None:
        """End it without a word, its children too."""
        assert self._process.pid is not None
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not come to lead a group
            self._process.kill()
        self._process.join()


def serve(settings: Settings, port: int) -> None:
    """The service as people run it, with an engine that is ready at once."""
    run_gunicorn(lambda worker: create_app(settings, FakeEngine()), listen("127.0.0.1", port), threads=4)


def train(settings: Settings) -> None:
    """The trainer; its jobs make versions, with a checkpoint at each step as training has at its epochs."""
    versions.ADOPTION_SECONDS = 0.1
    learner = SmallLearner(steps=STEPS, step_seconds=0.01).learner
    build_trainer(settings, versions.train_version(settings, learner)).run()


def change_versions(folder: Path, first: int) -> None:
    """Publish, roll back and prune without end, as trainer, service and commands do."""
    line = VersionLine(folder, 1)
    for number in count(first):
        publish(line, f"v{number}")
        line.roll_back()
        line.roll_back(f"v{number}")
        line.prune(keep=3)


def _lead_a_group(target: Callable[..., None], *arguments: Any) -> None:
    os.setsid()
    target(*arguments)
