"""The service as people run it: a real gunicorn on a real port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import SettingsError
from backend.server import listen, url_of
from tests.backend.messages import batch
from tests.factories import make_task, make_weights_folder

ROOT = Path(__file__).parents[2]
SERVICE = """
import sys
from pathlib import Path
from backend import server
from backend.app import create_app
from backend.server import listen, run_gunicorn, url_of
from tests.factories import FakeEngine, make_settings

server.SILENCE_SECONDS = 2
settings = make_settings(Path(sys.argv[1]), threads=1, max_waiting=2)
listener = listen("127.0.0.1", 0)
print(url_of(listener), flush=True)
run_gunicorn(lambda worker: create_app(settings, FakeEngine(delay=1.0)), listener, threads=settings.http_threads)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen([sys.executable, "-c", SERVICE, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip(), process
    process.kill()
    process.wait()
    process.stdout.close()


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_health_is_answered_while_every_place_for_predictions_is_taken(service: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = service
    assert ask(url + "/health")[0] == 200  # the first call waits until the worker is there
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(url + "/predict", batch([make_task()])))) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    started = time.monotonic()
    assert ask(url + "/health")[0] == 200
    assert time.monotonic() - started < 1.0
    for thread in threads:
        thread.join()
    found = [len(body["results"][0]["result"]) if body["results"][0] else 0 for status, body in answers if status == 200]
    assert sorted(found) == [0, 0, 2, 2, 2]  # one works, two wait, the others are told to ask again


def test_clients_that_stop_in_the_middle_of_a_request_lose_their_threads(service: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = service
    assert ask(url + "/health")[0] == 200
    address = urllib.parse.urlsplit(url)
    connections = [socket.create_connection((address.hostname, address.port)) for _ in range(7)]  # as many as there are threads
    for connection in connections:
        connection.sendall(b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
    started = time.monotonic()
    assert ask(url + "/health")[0] == 200
    assert 0.5 < time.monotonic() - started < 15
    for connection in connections:
        connection.close()


def test_a_signal_ends_the_service(service: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = service
    assert ask(url + "/health")[0] == 200
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 0


NUMBERED_WORKERS = """
import os
from flask import Flask
from backend.server import listen, run_gunicorn, url_of

def make_app(worker):
    app = Flask("numbered")
    app.add_url_rule("/", view_func=lambda: {"worker": worker, "process": os.getpid()})
    return app

listener = listen("127.0.0.1", 0)
print(url_of(listener), flush=True)
run_gunicorn(make_app, listener, threads=1, workers=3)
"""


def test_every_worker_has_a_number_of_its_own_and_its_replacement_gets_it() -> None:
    master = subprocess.Popen([sys.executable, "-c", NUMBERED_WORKERS], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert master.stdout is not None
        url = master.stdout.readline().strip()

        def processes(enough: Callable[[dict[int, int]], bool]) -> dict[int, int]:
            found: dict[int, int] = {}
            deadline = time.monotonic() + 60
            while not enough(found):
                assert time.monotonic() < deadline, found
                answer = ask(url + "/")[1]
                found[answer["worker"]] = answer["process"]
            return found

        before = processes(lambda found: len(found) == 3)
        assert sorted(before) == [0, 1, 2]
        os.kill(before[1], signal.SIGKILL)
        after = processes(lambda found: found.get(1, before[1]) != before[1])
        assert {worker: process for worker, process in after.items() if worker != 1}.items() <= before.items()
    finally:
        master.terminate()
        master.wait(timeout=30)
        if master.stdout is not None:
            master.stdout.close()


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    first = listen("127.0.0.1", 0)
    port = first.getsockname()[1]
    assert url_of(first) == f"http://127.0.0.1:{port}"
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
        listen("127.0.0.1", port)
    first.close()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({"WORDMASK_THREADS": "many"}, "WORDMASK_THREADS", id="a setting that does not parse"),
        pytest.param({"BASIC_AUTH_USER": "studio"}, "belong together", id="half a login"),
        pytest.param({"WORDMASK_HOST": "203.0.113.1"}, "cannot listen", id="an address of another machine"),
        pytest.param({"WORDMASK_PROFILE": "tyni"}, "the profiles are:", id="a profile that does not exist"),
    ],
)
def test_serve_ends_with_one_line_when_it_cannot_start(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    command = [str(Path(sys.executable).parent / "wordmask"), "serve", "--port", "0"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORDMASK_", "BASIC_AUTH_", "LABEL_STUDIO_"))}
    environment = clean | {"WORDMASK_PROFILE": str(make_weights_folder(tmp_path / "profile"))} | environment
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("wordmask: ")
    assert message in line
