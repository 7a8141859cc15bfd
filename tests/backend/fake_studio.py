"""The part of Label Studio's API that `wordmask preannotate` uses, over real HTTP, able to fail on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.local_http import LocalServer, Reply, Request, local_server

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="mask" toName="image"><Label value="Dog"/><Label value="Cat"/></BrushLabels></View>"""


class FakeStudio:
    """The part of Label Studio's API that stores predictions, over real HTTP."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.tasks: dict[int, dict[str, Any]] = {}
        self.predictions: list[dict[str, Any]] = []
        self.failures: list[int | str] = []
        self._lock = threading.Lock()
        server.routes["/api/projects/1"] = lambda _: self.json({"id": 1, "label_config": CONFIG, "task_number": len(self.tasks)})
        server.routes["/api/tasks"] = self._list_tasks
        server.routes["/api/predictions/"] = self._predictions

    def add_tasks(self, *data: dict[str, Any]) -> None:
        for item in data:
            self.tasks[len(self.tasks) + 1] = item

    @staticmethod
    def json(value: Any, status: int = 200) -> Reply:
        """An answer as Label Studio gives it."""
        return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def versions_of(self, task_id: int) -> list[str]:
        return [found["model_version"] for found in self.predictions if found["task"] == task_id]

    def _list_tasks(self, _: Request) -> Reply:
        tasks = [{"id": n, "data": d, "predictions_model_versions": ",".join(self.versions_of(n))} for n, d in self.tasks.items()]
        return Reply(200, json.dumps({"total": len(tasks), "tasks": tasks}).encode())

    def _predictions(self, request: Request) -> Reply:
        with self._lock:
            if request.method == "GET":
                task_id = int(request.path.partition("task=")[2])
                return Reply(200, json.dumps([found for found in self.predictions if found["task"] == task_id]).encode())
            failure = self.failures.pop(0) if self.failures else None
            if isinstance(failure, int):
                return Reply(failure, b'{"detail": "failing"}')
            body = json.loads(request.body)
            self.predictions.append({**body, "id": len(self.predictions) + 1})
            self.server.routes[f"/api/predictions/{len(self.predictions)}/"] = self._delete
            if failure == "lose the answer":
                return Reply(200, headers={"Content-Length": "99"}, write=lambda send: send(b"{"))
            return Reply(201, b"{}")

    def _delete(self, request: Request) -> Reply:
        wanted = int(request.path.split("/")[-2])
        self.predictions = [found for found in self.predictions if found["id"] != wanted]
        return Reply(204)


@contextmanager
def fake_studio() -> Iterator[FakeStudio]:
    """Serve until the block ends."""
    with local_server() as server:
        yield FakeStudio(server)
