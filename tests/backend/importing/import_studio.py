"""The part of Label Studio's API that ``wordmask import --to-project`` uses, over real HTTP, able to fail on request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.local_http import LocalServer, Reply, Request, local_server

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="mask" toName="image"><Label value="person"/><Label value="dog"/></BrushLabels>
<RectangleLabels name="box" toName="image"><Label value="person"/><Label value="dog"/></RectangleLabels></View>"""


class ImportStudio:
    """One project, its tasks and uploads. ``failures`` are taken one by one by imports of tasks: a status, or "lose the answer"."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.config = CONFIG
        self.tasks: list[dict[str, Any]] = []
        self.uploads: list[tuple[str, bytes]] = []
        self.failures: list[int | str] = []
        self.refused_keys: set[str] = set()
        self.requests_with_tasks = 0
        server.routes["/api/projects/1"] = lambda _: _json({"id": 1, "label_config": self.config})
        server.routes["/api/projects/1/import"] = self._import
        server.routes["/api/tasks"] = self._list

    def _list(self, request: Request) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        page, size = int(query["page"][0]), int(query["page_size"][0])
        tasks = [{"id": number, "data": task["data"]} for number, task in enumerate(self.tasks, 1)]
        return _json({"total": len(tasks), "tasks": tasks[(page - 1) * size : page * size]})

    def _import(self, request: Request) -> Reply:
        if request.headers["content-type"].startswith("multipart/"):
            return self._upload(request)
        self.requests_with_tasks += 1
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, int):
            return _json({"detail": "failing"}, failure)
        sent = json.loads(request.body)
        if any(task["data"]["wordmask_import"] in self.refused_keys for task in sent):
            return _json({"detail": "a task is not valid"}, 400)
        self.tasks += sent
        if failure == "lose the answer":
            return Reply(200, headers={"Content-Length": "99"}, write=lambda send: send(b"{"))
        predictions = sum(len(task["predictions"]) for task in sent)
        return _json({"task_count": len(sent), "prediction_count": 0 if failure == "forget predictions" else predictions}, 201)

    def _upload(self, request: Request) -> Reply:
        assert "commit_to_project=false" in request.path
        message = BytesParser().parsebytes(b"Content-Type: " + request.headers["content-type"].encode() + b"\n\n" + request.body)
        (part,) = message.get_payload()
        number = len(self.uploads)
        self.uploads.append((part.get_filename(), part.get_payload(decode=True)))
        stored = f"upload/1/{number}-{part.get_filename()}"
        self.server.routes[f"/api/import/file-upload/{number}"] = _json({"id": number, "file": stored})
        return _json({"file_upload_ids": [number], "task_count": 1}, 201)


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@contextmanager
def import_studio() -> Iterator[ImportStudio]:
    """Serve until the block ends."""
    with local_server() as server:
        yield ImportStudio(server)
