"""Our service as people run it beside a real Label Studio, with a trainer, and the commands that people run beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.dataset.store import SampleStore
from models import Sample
from models.data.dataset_folder import DatasetFolder
from tests.e2e.conftest import LabelStudio
from tools.backend_server import BackendServer
from tools.redis_server import RedisServer, find_redis

SECRET = "a secret of this test"
QUEUES = ("file", "redis")
"""Where jobs wait."""


@dataclass(frozen=True)
class Wordmask:
    """A running service with its trainer, and the environment of whoever runs commands beside it."""

    url: str
    data_dir: Path
    environment: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, expect its exit code, return what it printed."""
        program = str(Path(sys.executable).parent / "wordmask")
        environment = {**os.environ, **self.environment}
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def jobs(self) -> list[dict[str, Any]]:
        """Its jobs, newest first."""
        return list(requests.get(f"{self.url}/jobs", timeout=30).json()["jobs"])

    def has_taken_in(self, action: str, number: int) -> bool:
        """Whether so many events of an action came, and something came of each."""
        events = requests.get(f"{self.url}/events", timeout=30).json()["events"]
        return sum(event["action"] == action and event["outcome"] is not None for event in events) == number

    def samples(self, project: int) -> list[Sample]:
        """The samples of a project as they are now."""
        return list(SampleStore(self.data_dir / "samples.sqlite3").samples(project))

    def written(self, project: int) -> list[Sample]:
        """The samples that the last job has written for training."""
        return list(DatasetFolder(self.data_dir / "datasets" / str(project)))


@contextmanager
def running(queue: str, label_studio: LabelStudio, folder: Path, **settings: str) -> Iterator[Wordmask]:
    """A service with a secret for webhooks; its jobs wait in a file, or in a real Redis (skips the test where there is none)."""
    with ExitStack() as stack:
        # Jobs stand back for whatever else runs; beside other tests they would wait for minutes.
        environment = {"WORDMASK_WEBHOOK_SECRET": SECRET, "WORDMASK_TRAINER_NICENESS": "0", **settings}
        if queue == "redis":
            program = find_redis()
            if program is None:
                pytest.skip("redis-server is not installed; run `make install-all`, which installs Debian's package")
            environment["WORDMASK_REDIS_URL"] = stack.enter_context(RedisServer(program, folder)).url
        server = stack.enter_context(BackendServer(folder, label_studio.url, label_studio.token, **environment))
        environment |= {
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_KEY": label_studio.token,
            "WORDMASK_PORT": server.url.rpartition(":")[2],
            "WORDMASK_DATA_DIR": str(folder / "state"),
        }
        yield Wordmask(server.url, folder / "state", environment)


def wait_until(is_so: Callable[[], object], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
