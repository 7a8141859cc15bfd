"""A throw-away Redis on a free loopback port, for tests of the queue for several machines.

``python -m tools.redis_server`` installs Debian's package where there is no ``redis-server`` and prints its path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tools.debian import install_debian_package
from tools.processes import ServerError, free_port

_WAIT_SECONDS = 60.0


def find_redis() -> Path | None:
    """Path of an installed ``redis-server``: the one named in ``REDIS_SERVER``, or on PATH; else ``None``."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    return Path(found) if found else None


def ensure_redis() -> Path | None:
    """Path of a ``redis-server``, installed first where there is none; ``None`` where that cannot be done."""
    if find_redis() is None:
        install_debian_package("redis-server")
    return find_redis()


class RedisServer:
    """A Redis that keeps nothing on disk, alive inside a ``with`` block.

    Args:
        program: the ``redis-server``.
        folder: its working folder.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _WAIT_SECONDS
        with redis.Redis.from_url(self.url) as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.05)
                else:
                    return self
        self.stop()
        raise ServerError(f"redis-server did not answer at {self.url} within {_WAIT_SECONDS:.0f} s")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main() -> int:
    """Print the path of a ``redis-server``, or one line why there is none."""
    found = ensure_redis()
    if found is None:
        print("No redis-server was found and none could be installed: tests of the Redis queue are left out.", file=sys.stderr)
        return 1
    print(f"Redis: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
