"""Versions over HTTP: each project is answered by its own, and only who may changes what serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.app import create_app
from backend.versions.line import VersionLine
from models import Engine
from tests.backend.messages import batch, gesture, typed
from tests.backend.versions.drafts import BASE, publish
from tests.factories import FakeEngine, make_settings, make_task

ROLL_BACK = "/projects/1/versions/rollback"
SECRET = {"X-Wordmask-Secret": "hush"}


def load(folder: Path, base: Engine) -> Engine:
    return FakeEngine(version=folder.joinpath("delta.safetensors").read_text(encoding="utf-8"))


@pytest.fixture
def make_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FlaskClient]:
    monkeypatch.setattr("backend.versions.engines.POLL_SECONDS", 0.02)
    return lambda **settings: create_app(make_settings(tmp_path, **settings), FakeEngine(), load_version=load).test_client()


@pytest.fixture
def client(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    return make_client(webhook_secret="hush")


@pytest.fixture
def line(tmp_path: Path) -> VersionLine:
    return VersionLine(tmp_path, 1)


def version_of(client: FlaskClient, project: int = 1) -> set[str]:
    """What a batch and a gesture of a project are answered by."""
    name = f"{project}.1795227770"
    body = {**batch([make_task()]), "project": name}
    typing = {**gesture(make_task(), typed("a dog")), "project": name}
    return {client.post("/predict", json=asked).get_json()["results"][0]["model_version"] for asked in (body, typing)}


def wait_until(is_so: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def publish_now(line: VersionLine, name: str) -> None:
    """Publish a version of a project that is younger than the epoch in the requests."""
    publish(line, name, created="2100-01-01T00:00:00+00:00")


def test_every_project_is_answered_and_set_up_by_its_own_version(client: FlaskClient, line: VersionLine) -> None:
    assert version_of(client) == {BASE}
    publish_now(line, "v1")
    wait_until(lambda: version_of(client) == {"v1"})
    assert version_of(client, project=2) == {BASE}
    assert client.post("/setup", json={"project": "1.1795227770"}).get_json() == {"model_version": "v1"}
    assert client.post("/setup", json={"project": "2.1795227770"}).get_json() == {"model_version": BASE}
    assert client.get("/versions").get_json() == {"versions": [BASE, "v1"]}
    assert client.get("/health").get_json()["model_version"] == BASE


def test_versions_are_listed_with_their_scores(client: FlaskClient, line: VersionLine) -> None:
    publish_now(line, "v1")
    found = client.get("/projects/1/versions").get_json()
    assert found["serving"] == "v1"
    (one,) = found["versions"]
    assert (one["number"], one["version"], one["parent"]) == (1, "v1", None)
    assert one["scores"]["candidate"]["per_label"] == {"Dog": {"iou": 0.6, "count": 4}}


@pytest.mark.parametrize(("body", "expected"), [({}, "v1"), ({"to": "base"}, None), ({"to": "1"}, "v1"), ({"to": "v2"}, "v2")])
def test_an_older_version_serves_again(client: FlaskClient, line: VersionLine, body: dict[str, Any], expected: str | None) -> None:
    publish_now(line, "v1")
    publish_now(line, "v2")
    assert version_of(client) == {"v2"}
    answer = client.post(ROLL_BACK, json=body, headers=SECRET)
    assert (answer.status_code, answer.get_json()) == (200, {"serving": expected})
    wait_until(lambda: version_of(client) == {expected or BASE})


@pytest.mark.parametrize("headers", [{}, {"X-Wordmask-Secret": "wrong"}], ids=["no secret", "a wrong secret"])
def test_nobody_else_changes_what_serves(client: FlaskClient, line: VersionLine, headers: dict[str, str]) -> None:
    publish_now(line, "v1")
    assert client.post(ROLL_BACK, json={}, headers=headers).status_code == 401
    assert client.get("/projects/1/versions").get_json()["serving"] == "v1"


def test_without_a_secret_and_a_login_nobody_changes_what_serves(make_client: Callable[..., FlaskClient], line: VersionLine) -> None:
    publish_now(line, "v1")
    answer = make_client().post(ROLL_BACK, json={}, headers={"X-Wordmask-Secret": ""})
    assert answer.status_code == 401
    assert "command line" in answer.get_json()["error"]["message"]


def test_basic_auth_is_enough(make_client: Callable[..., FlaskClient], line: VersionLine) -> None:
    publish_now(line, "v1")
    client = make_client(basic_auth_user="studio", basic_auth_pass="word")
    assert client.post(ROLL_BACK, json={}).status_code == 401
    assert client.post(ROLL_BACK, json={}, auth=("studio", "word")).get_json() == {"serving": None}


@pytest.mark.parametrize(
    ("body", "status"),
    [({"to": "v9"}, 404), ({"to": 1}, 400), ({"to": "../1"}, 404), ([], 400)],
    ids=["unknown", "a number", "a path", "a list"],
)
def test_what_cannot_be_rolled_back_to_is_told(client: FlaskClient, line: VersionLine, body: Any, status: int) -> None:
    publish_now(line, "v1")
    answer = client.post(ROLL_BACK, json=body, headers=SECRET)
    assert answer.status_code == status
    assert client.get("/projects/1/versions").get_json()["serving"] == "v1"


def test_a_web_page_cannot_roll_back_in_somebodys_name(client: FlaskClient, line: VersionLine) -> None:
    publish_now(line, "v1")
    assert client.post(ROLL_BACK, data="{}", headers={**SECRET, "Content-Type": "text/plain"}).status_code == 400


def test_a_version_that_cannot_be_loaded_is_shown_to_those_who_run_the_service(tmp_path: Path, line: VersionLine) -> None:
    def fail(folder: Path, base: Engine) -> Engine:
        raise ValueError("the delta does not fit")

    client = create_app(make_settings(tmp_path), FakeEngine(), load_version=fail).test_client()
    publish_now(line, "v1")
    assert version_of(client) == {BASE}
    (failure,) = client.get("/status").get_json()["recent_failures"]
    assert "the delta does not fit" in failure["reason"]
