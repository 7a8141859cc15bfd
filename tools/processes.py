"""Start a server as a process group of its own, wait until it answers, end the whole group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import requests


class ServerError(RuntimeError):
    """A server did not start; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port that nothing listens on at loopback just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def leave_by_exceptions() -> None:
    """Let SIGINT and SIGTERM end this program by an exception, so that its servers are stopped, too.

    SIGINT needs it as well: a shell starts background jobs with Ctrl-C ignored, and Python leaves it so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class ServerProcess:
    """A command that serves HTTP, alive from ``start`` to ``stop``; also a context manager.

    Args:
        command: program and arguments.
        url: where it listens.
        log: file that takes its output.
        environment: the whole environment of the process.
        health: path that answers 200 once it can be used.
        wait_seconds: how long it may take to become healthy.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        url: str,
        log: Path,
        environment: Mapping[str, str],
        health: str = "/health",
        wait_seconds: float = 240.0,
    ) -> None:
        self.url = url
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._health = health
        self._wait_seconds = wait_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start and return once it is healthy.

        Raises:
            ServerError: it ended, or was not healthy in time.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # so that stop() reaches workers and helpers, too
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process and everything it started; do nothing when it does not run."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        except ProcessLookupError:
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _wait_until_healthy(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._wait_seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(f"{self._command[0]} ended with code {self._process.returncode} while starting.\n{self._log_end()}")
            if self._is_healthy():
                return
            time.sleep(0.2)
        raise ServerError(f"{self.url}{self._health} gave no 200 within {self._wait_seconds:.0f} s.\n{self._log_end()}")

    def _is_healthy(self) -> bool:
        with requests.Session() as session:
            session.trust_env = False  # no proxy between us and loopback
            try:
                return session.get(self.url + self._health, timeout=3).status_code == 200
            except requests.RequestException:
                return False

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-30:]
        return "\n".join([f"The end of {self.log}:", *lines])
