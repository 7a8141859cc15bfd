"""The trainer as the settings describe it, and the thread of the web service that keeps one running beside it."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from backend.app import weights_version
from backend.dataset.from_events import EventIntake
from backend.dataset.prepare import dataset_update
from backend.jobs.job import Work
from backend.jobs.trainer import Limits, Trainer
from backend.label_studio import client_of
from backend.learning import build_learning
from backend.settings import Settings, variable_name
from backend.versions.announce import Announcer
from backend.versions.train import train_version

logger = logging.getLogger(__name__)

_RESTART_SECONDS = 5.0
_END_SECONDS = 15.0


def build_trainer(settings: Settings, work: Work | None = None, is_to_leave: Callable[[], bool] = lambda: False) -> Trainer:
    """A trainer that takes in events, asks for jobs when they are due, and runs jobs.

    Args:
        settings: everything else.
        work: what a job runs; when left out, it trains a version of its project.
        is_to_leave: as :class:`Trainer` takes it.

    Raises:
        SettingsError: Redis is named, and its packages are not installed.
    """
    learning = build_learning(settings)
    client = client_of(settings)
    intake = [EventIntake(learning.events, dataset_update(settings, client, is_patient=False))] if client is not None else []
    told = [Announcer(client, settings, weights_version(settings))] if client is not None else []
    if client is None:
        logger.warning("LABEL_STUDIO_URL is not set: events are kept, but nothing comes of them")
    return Trainer(
        learning.queue,
        work or train_version(settings),
        settings.data_dir,
        chores=[*intake, learning.debounce, *told],
        takes_jobs=settings.takes_jobs,
        limits=Limits(settings.trainer_niceness, settings.trainer_threads),
        is_to_leave=is_to_leave,
    )


def input_has_ended() -> bool:
    """Whether whoever started this process with a pipe for its input is gone."""
    return bool(select.select([0], [], [], 0)[0]) and not os.read(0, 1)


class TrainerKeeper:
    """Keeps a trainer process beside the web service: started again when it dies, ended with the service however that ends.

    Args:
        settings: of the service; those of the command line are passed on.
        command: program and arguments.
    """

    def __init__(self, settings: Settings, command: tuple[str, ...] | None = None) -> None:
        self._command = command or (sys.executable, "-c", "from backend.cli import main; main()", "trainer", "--beside-service")
        self._environment = {**os.environ, variable_name("profile"): settings.profile, variable_name("data_dir"): str(settings.data_dir)}
        self._is_ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the trainer; returns at once."""
        threading.Thread(target=self._keep, name="trainer-keeper", daemon=True).start()

    def end(self) -> None:
        """End the trainer and wait for it."""
        self._is_ending.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait(_END_SECONDS)

    def _keep(self) -> None:
        while not self._is_ending.is_set():
            started = time.monotonic()
            # Its input is a pipe that nobody writes to: the kernel closes it when this process ends, and the trainer sees that.
            with subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._environment) as self._process:  # noqa: S603 - our own program
                code = self._process.wait()
            if not self._is_ending.is_set():
                logger.warning("the trainer ended with code %d after %.0f s; it is started again", code, time.monotonic() - started)
                self._is_ending.wait(_RESTART_SECONDS)
