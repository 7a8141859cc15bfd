"""Tasks of a live project: page by page, every one once, whatever fails on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.errors import LabelStudioError
from backend.export.live_tasks import PAGE_SIZE, fetch_tasks, tasks_file
from backend.label_studio import LabelStudioClient
from tests.export_factories import CONFIG, annotated, brush_region, ring_and_island
from tests.local_http import LocalServer, Reply, Request, local_server


class Studio:
    """Serves tasks behind an id as Label Studio does, and fails when told to."""

    def __init__(self, server: LocalServer, count: int) -> None:
        self.server = server
        self.tasks = [annotated(number, [brush_region(ring_and_island())]) for number in range(1, count + 1)]
        self.statuses: list[int] = []
        self.client = LabelStudioClient(server.url, "a" * 40)
        server.routes["/api/tasks"] = self._page
        project = {"id": 1, "title": "Dogs", "label_config": CONFIG, "task_number": count}
        server.routes["/api/projects/1"] = lambda _: Reply(200, json.dumps(project).encode(), {"Content-Type": "application/json"})

    def _page(self, request: Request) -> Reply:
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return Reply(status, b'{"detail": "failing"}')
        query = json.loads(parse_qs(urlsplit(request.path).query)["query"][0])
        behind = query["filters"]["items"][0]["value"]
        found = [task for task in self.tasks if task["id"] > behind][:PAGE_SIZE]
        return Reply(200, json.dumps({"tasks": found, "total": len(self.tasks)}).encode())


@pytest.fixture
def studio() -> Iterator[Studio]:
    with local_server() as server:
        yield Studio(server, 2 * PAGE_SIZE + 5)


def ids(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_tasks_arrive_in_order_a_page_at_a_time(studio: Studio, tmp_path: Path) -> None:
    arrived: list[None] = []
    fetch_tasks(studio.client, 1, tmp_path / "tasks", lambda: arrived.append(None), pauses=())
    assert ids(tmp_path / "tasks") == [task["id"] for task in studio.tasks]
    assert len(arrived) == len(studio.tasks)
    assert len(studio.server.requests) == 4  # the last page is empty


def test_a_failure_in_the_middle_loses_nothing_and_the_next_call_goes_on(studio: Studio, tmp_path: Path) -> None:
    studio.statuses = [200, 502]
    with pytest.raises(LabelStudioError, match="502"):
        fetch_tasks(studio.client, 1, tmp_path / "tasks", pauses=())
    assert len(ids(tmp_path / "tasks")) == PAGE_SIZE
    before = len(studio.server.requests)
    arrived: list[None] = []
    fetch_tasks(studio.client, 1, tmp_path / "tasks", lambda: arrived.append(None), pauses=())
    assert ids(tmp_path / "tasks") == [task["id"] for task in studio.tasks]
    assert len(studio.server.requests) - before == 3
    assert len(arrived) == len(studio.tasks)  # the progress bar counts those that were there


def test_a_page_that_fails_for_a_moment_is_asked_for_again(studio: Studio, tmp_path: Path) -> None:
    studio.statuses = [503, 200, 500, 500]
    fetch_tasks(studio.client, 1, tmp_path / "tasks", pauses=(0.0, 0.0))
    assert len(ids(tmp_path / "tasks")) == len(studio.tasks)


@pytest.mark.parametrize(
    "tail", [b'{"id": 21, "data": {"ima', b'{"i', b"not a task\n"], ids=["half a line", "hardly a line", "something else"]
)
def test_a_kill_in_the_middle_of_a_line_costs_that_line(studio: Studio, tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "tasks"
    path.write_bytes(b"".join(json.dumps(task).encode() + b"\n" for task in studio.tasks[:PAGE_SIZE]) + tail)
    fetch_tasks(studio.client, 1, path, pauses=())
    assert ids(path) == [task["id"] for task in studio.tasks]


def test_tasks_that_vanish_meanwhile_move_none_across_pages(studio: Studio, tmp_path: Path) -> None:
    def vanish() -> None:
        studio.tasks = [task for task in studio.tasks if task["id"] not in (3, 7, 22)]

    fetch_tasks(studio.client, 1, tmp_path / "tasks", vanish, pauses=())
    assert ids(tmp_path / "tasks") == [number for number in range(1, 2 * PAGE_SIZE + 6) if number != 22]


@pytest.mark.parametrize("answer", [{}, [], {"tasks": None}, {"tasks": [1]}, {"tasks": [{"id": "1"}]}, {"tasks": [{"id": 0}]}], ids=str)
def test_an_answer_without_new_tasks_is_an_error_and_no_endless_loop(studio: Studio, tmp_path: Path, answer: Any) -> None:
    studio.server.routes["/api/tasks"] = Reply(200, json.dumps(answer).encode())
    with pytest.raises(LabelStudioError, match="did not answer with tasks"):
        fetch_tasks(studio.client, 1, tmp_path / "tasks", pauses=())


def test_a_project_beyond_the_limit_is_refused(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(LabelStudioError, match="command line"):
        fetch_tasks(studio.client, 1, tmp_path / "tasks", pauses=(), max_bytes=1000)


def test_another_project_or_server_has_another_file(studio: Studio, tmp_path: Path) -> None:
    elsewhere = LabelStudioClient("http://127.0.0.1:9", "a" * 40)
    files = {tasks_file(tmp_path / "out", client, project) for client in (studio.client, elsewhere) for project in (1, 2)}
    assert len(files) == 4
