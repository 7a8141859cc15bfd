from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
import requests

from tools.processes import ServerError, ServerProcess, free_port

SERVE_AND_START_A_CHILD = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def _server(tmp_path: Path, program: str, *, wait_seconds: float = 30) -> ServerProcess:
    port = free_port()
    return ServerProcess(
        [sys.executable, "-c", program, str(port)],
        url=f"http://127.0.0.1:{port}",
        log=tmp_path / "server.log",
        environment=dict(os.environ),
        health="/",
        wait_seconds=wait_seconds,
    )


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _ends_soon(pid: int) -> bool:
    """A killed process is gone when the system comes to it, not when the signal is sent."""
    deadline = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _is_alive(pid)


def test_a_server_answers_while_it_runs_and_takes_its_children_along_when_it_stops(tmp_path: Path) -> None:
    with _server(tmp_path, SERVE_AND_START_A_CHILD) as server:
        assert requests.get(server.url, timeout=5).ok
        child = int(server.log.read_text().split()[1])
        assert _is_alive(child)

    assert _ends_soon(child)
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=5)


def test_a_server_that_ends_while_starting_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"ended with code 3 while starting[\s\S]*no database"):
        _server(tmp_path, "import sys; print('no database'); sys.exit(3)").start()


def test_a_server_that_never_becomes_healthy_is_an_error_and_is_stopped(tmp_path: Path) -> None:
    server = _server(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(600)", wait_seconds=2)

    with pytest.raises(ServerError, match="gave no 200 within 2 s"):
        server.start()

    assert _ends_soon(int(server.log.read_text()))
