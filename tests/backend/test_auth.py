"""Who may call which route."""

from __future__ import annotations

import base64

import pytest

from backend.app import create_app
from backend.errors import SettingsError
from tests.backend.conftest import MakeClient
from tests.factories import FakeEngine, make_settings

EVENT = {"action": "PROJECT_UPDATED", "project": {"id": 1}}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/versions", "/status", "/no-such-route"])
def test_every_page_wants_the_login_when_one_is_set(make_client: MakeClient, path: str) -> None:
    client = make_client(basic_auth_user="studio", basic_auth_pass="pässword")
    assert client.get(path).status_code == 401
    assert client.get(path, headers=basic("studio", "wrong")).status_code == 401
    assert client.get(path, headers=basic("other", "pässword")).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer pässword".encode().decode("latin-1")}).status_code == 401
    assert client.get(path, headers=basic("studio", "pässword")).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/predict", "/setup"])
def test_every_call_wants_the_login_before_it_reads_the_body(make_client: MakeClient, path: str) -> None:
    client = make_client(basic_auth_user="studio", basic_auth_pass="password")
    answer = client.post(path, data="not json")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_webhooks_come_without_login_because_label_studio_sends_none(make_client: MakeClient) -> None:
    assert make_client(basic_auth_user="studio", basic_auth_pass="password").post("/webhook", json=EVENT).status_code == 200


def test_a_webhook_secret_is_wanted_when_set(make_client: MakeClient) -> None:
    client = make_client(basic_auth_user="studio", basic_auth_pass="password", webhook_secret="hush")
    assert client.post("/webhook", json=EVENT).status_code == 401
    assert client.post("/webhook", json=EVENT, headers={"X-Wordmask-Secret": "wrong"}).status_code == 401
    assert client.post("/webhook", json=EVENT, headers={"X-Wordmask-Secret": "hush"}).status_code == 200
    assert client.post("/webhook", json=EVENT, headers=basic("studio", "password")).status_code == 200


@pytest.mark.parametrize("half", [{"basic_auth_user": "studio"}, {"basic_auth_pass": "password"}])
def test_half_a_login_is_refused_at_the_start(tmp_path: pytest.TempPathFactory, half: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="belong together"):
        create_app(make_settings(tmp_path, **half), FakeEngine())  # type: ignore[arg-type]


def test_the_train_button_comes_without_the_secret_as_backends_are_called(make_client: MakeClient) -> None:
    client = make_client(webhook_secret="hush")
    assert client.post("/webhook", json=EVENT).status_code == 401
    assert client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 1}}).status_code == 200


def test_the_train_button_needs_the_login_where_there_is_one(make_client: MakeClient) -> None:
    client = make_client(basic_auth_user="studio", basic_auth_pass="password", webhook_secret="hush")
    start = {"action": "START_TRAINING", "project": {"id": 1}}
    assert client.post("/webhook", json=start).status_code == 401
    assert client.post("/webhook", json=start, headers=basic("studio", "password")).status_code == 200
