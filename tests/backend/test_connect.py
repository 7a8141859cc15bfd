"""Setting a project up: whatever was there before, the same state comes of it, and running it again changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from backend.cli import app
from backend.connect import Connection, Step
from backend.errors import LabelStudioError
from backend.label_studio import LabelStudioClient
from tests.factories import make_settings
from tests.local_http import LocalServer, Reply, Request, local_server

URL = "http://backend:9090"
SECRET = {"X-Wordmask-Secret": "hush"}


class Studio:
    """The part of Label Studio's API that sets projects up."""

    def __init__(self, server: LocalServer) -> None:
        self.url = server.url
        self.project = {"id": 1, "sampling": "Sequential sampling", "model_version": ""}
        self.backends: list[dict[str, Any]] = []
        self.hooks: list[dict[str, Any]] = []
        self.changes = 0
        self.refusal: Reply | None = None
        self._server = server
        server.routes["/api/projects/1"] = self._project
        server.routes["/api/ml"] = lambda request: self._list(request, self.backends, "/api/ml/{}", {"model_version": "tiny-1"})
        server.routes["/api/webhooks/"] = lambda request: self._list(request, self.hooks, "/api/webhooks/{}/", {})

    def add(self, things: list[dict[str, Any]], path: str, thing: dict[str, Any]) -> dict[str, Any]:
        thing = {"id": len(self._server.routes), **thing}
        things.append(thing)
        self._server.routes[path.format(thing["id"])] = lambda request: self._one(request, things, thing)
        return thing

    def add_hook(self, url: str, **fields: Any) -> None:
        hook = {"url": url, "headers": {}, "is_active": True, "send_payload": True, "send_for_all_actions": True, **fields}
        self.add(self.hooks, "/api/webhooks/{}/", hook)

    def add_backend(self, url: str, **fields: Any) -> None:
        self.add(self.backends, "/api/ml/{}", {"url": url, "title": "x", "is_interactive": True, "model_version": "tiny-1", **fields})

    def _list(self, request: Request, things: list[dict[str, Any]], path: str, extra: dict[str, Any]) -> Reply:
        if request.method == "GET":
            return Reply(200, json.dumps(things).encode())
        if self.refusal is not None:
            return self.refusal
        self.changes += 1
        return Reply(201, json.dumps(self.add(things, path, {**json.loads(request.body), **extra})).encode())

    def _one(self, request: Request, things: list[dict[str, Any]], thing: dict[str, Any]) -> Reply:
        self.changes += 1
        if request.method == "DELETE":
            things.remove(thing)
            return Reply(204)
        body = json.loads(request.body)
        if "/ml/" in urlsplit(request.path).path and "url" not in body:
            return Reply(500, b'{"detail": "healthcheck_() missing 1 required positional argument"}')
        thing.update(body)
        return Reply(200, json.dumps(thing).encode())

    def _project(self, request: Request) -> Reply:
        if request.method == "PATCH":
            self.changes += 1
            self.project.update(json.loads(request.body))
        return Reply(200, json.dumps(self.project).encode())


@pytest.fixture
def label_studio() -> Iterator[Studio]:
    with local_server() as server:
        yield Studio(server)


def connect(label_studio: Studio, tmp_path: Path, *, settings: dict[str, Any] | None = None, **fields: Any) -> list[Step]:
    made = make_settings(tmp_path, **({"webhook_secret": SecretStr("hush")} if settings is None else settings))
    return list(Connection(LabelStudioClient(label_studio.url, "a token"), 1, URL, made, **fields).make())


def test_an_empty_project_gets_backend_webhook_with_secret_and_sampling(label_studio: Studio, tmp_path: Path) -> None:
    steps = connect(label_studio, tmp_path)
    (backend,), (hook,) = label_studio.backends, label_studio.hooks
    assert (backend["url"], backend["is_interactive"], backend["title"]) == (URL, True, "tiny-1")
    assert (hook["url"], hook["headers"], hook["send_for_all_actions"]) == (f"{URL}/webhook", SECRET, True)
    assert (label_studio.project["sampling"], label_studio.project["model_version"]) == ("Uncertainty sampling", "tiny-1")
    assert [step.outcome for step in steps] == ["done"] * 3


def test_a_second_run_changes_nothing(label_studio: Studio, tmp_path: Path) -> None:
    connect(label_studio, tmp_path)
    label_studio.changes = 0
    steps = connect(label_studio, tmp_path, prune=True)
    assert label_studio.changes == 0
    assert {step.outcome for step in steps} == {"was so"}


def test_the_webhook_that_label_studio_made_gets_the_secret_and_keeps_its_other_headers(label_studio: Studio, tmp_path: Path) -> None:
    label_studio.add_hook(f"{URL}/webhook", headers={"X-Proxy": "1"}, is_active=False)
    connect(label_studio, tmp_path)
    (hook,) = label_studio.hooks
    assert (hook["headers"], hook["is_active"]) == ({"X-Proxy": "1", **SECRET}, True)


def test_a_backend_that_was_not_interactive_becomes_so(label_studio: Studio, tmp_path: Path) -> None:
    label_studio.add_backend(URL + "/", is_interactive=False)
    connect(label_studio, tmp_path)
    (backend,) = label_studio.backends
    assert backend["is_interactive"]


def test_basic_auth_is_passed_on(label_studio: Studio, tmp_path: Path) -> None:
    connect(label_studio, tmp_path, settings={"basic_auth_user": "studio", "basic_auth_pass": SecretStr("word")})
    (backend,) = label_studio.backends
    assert (backend["auth_method"], backend["basic_auth_user"], backend["basic_auth_pass"]) == ("BASIC_AUTH", "studio", "word")


def test_a_service_without_a_secret_is_told_so(label_studio: Studio, tmp_path: Path) -> None:
    steps = connect(label_studio, tmp_path, settings={})
    assert [step.what for step in steps if step.outcome == "offered"] == [
        "no secret guards /webhook: set WORDMASK_WEBHOOK_SECRET for the service and here, then run this again"
    ]


def test_sampling_is_left_alone_on_request(label_studio: Studio, tmp_path: Path) -> None:
    connect(label_studio, tmp_path, by_doubt=False)
    assert label_studio.project["sampling"] == "Sequential sampling"


@pytest.mark.parametrize("prune", [False, True])
def test_doubled_and_left_over_webhooks_are_offered_for_removal_or_removed(label_studio: Studio, tmp_path: Path, prune: bool) -> None:
    label_studio.add_backend("http://other:9090")
    for url in (f"{URL}/webhook", f"{URL}/webhook", "http://gone:9090/webhook", "http://other:9090/webhook", "http://chat/hooks/7"):
        label_studio.add_hook(url)
    steps = connect(label_studio, tmp_path, prune=prune)
    left = [hook["url"] for hook in label_studio.hooks]
    kept = [f"{URL}/webhook", "http://other:9090/webhook", "http://chat/hooks/7"]
    assert sorted(left) == sorted(kept if prune else [*kept, f"{URL}/webhook", "http://gone:9090/webhook"])
    told = [step.what for step in steps if ("removed" if prune else "--prune") in step.what]
    assert len(told) >= 2
    assert any("gone" in what for what in told)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param(Reply(403, b'{"detail": "resolves to a reserved network address"}'), "ML_BLOCK_LOCAL_IP=false", id="guarded"),
        pytest.param(Reply(400, b'{"detail": "Can\'t connect to ML backend"}'), "must run and be reachable", id="not running"),
    ],
)
def test_a_refused_backend_is_explained(label_studio: Studio, tmp_path: Path, reply: Reply, says: str) -> None:
    label_studio.refusal = reply
    with pytest.raises(LabelStudioError, match=says):
        connect(label_studio, tmp_path)


def test_the_command_prints_what_it_did(label_studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a token")
    done = CliRunner().invoke(app, ["connect", "--project", "1"])
    assert done.exit_code == 0, done.output
    assert "✓ connected backend http://127.0.0.1:9090" in done.output
    monkeypatch.setenv("WORDMASK_HOST", "0.0.0.0")
    refused = CliRunner().invoke(app, ["connect", "--project", "1"])
    assert (refused.exit_code, "--url" in refused.output) == (1, True)
