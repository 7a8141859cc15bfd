from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from backend.errors import LabelStudioError
from backend.label_studio import LabelStudioClient
from backend.label_studio_auth import origin_of, token_kind
from backend.label_studio_errors import LabelStudioRefused
from tests.local_http import LocalServer, Reply, Request, local_server

LEGACY = "0123456789abcdef0123456789abcdef01234567"


def make_jwt(token_type: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"token_type": token_type, "exp": 9}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl"


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        yield running


@pytest.fixture
def refreshing_server(server: LocalServer) -> LocalServer:
    """Hands out access tokens ``access-1``, ``access-2``, ... and accepts only those in ``server.valid``."""
    issued: list[str] = []

    def refresh(request: Request) -> Reply:
        if json.loads(request.body) != {"refresh": make_jwt("refresh")}:
            return json_reply({"detail": "Token is invalid or expired"}, 401)
        issued.append(f"access-{len(issued) + 1}")
        return json_reply({"access": issued[-1]})

    server.routes["/api/token/refresh/"] = refresh
    server.routes["/api/version"] = lambda request: json_reply({"authorization": request.headers.get("authorization")})
    return server


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        pytest.param("", None, id="no token"),
        pytest.param(LEGACY, "legacy", id="40 hex digits"),
        pytest.param(make_jwt("refresh"), "personal", id="refresh JWT"),
        pytest.param(make_jwt("access"), "access", id="access JWT"),
        pytest.param("two.dots.here!", "legacy", id="dots that make no JWT"),
    ],
)
def test_kind_of_token_is_read_from_the_token(token: str, kind: str | None) -> None:
    assert token_kind(token) == kind


def test_legacy_token_is_sent_as_token(refreshing_server: LocalServer) -> None:
    answer = LabelStudioClient(refreshing_server.url, f" {LEGACY}\n").get("/api/version")
    assert answer == {"authorization": f"Token {LEGACY}"}


def test_personal_token_never_travels_as_authorization_and_is_exchanged_once(refreshing_server: LocalServer) -> None:
    client = LabelStudioClient(refreshing_server.url, make_jwt("refresh"))
    assert [client.get("/api/version")["authorization"] for _ in range(3)] == ["Bearer access-1"] * 3
    assert [request.path for request in refreshing_server.requests].count("/api/token/refresh/") == 1


def test_threads_that_start_together_share_one_exchange(refreshing_server: LocalServer) -> None:
    client = LabelStudioClient(refreshing_server.url, make_jwt("refresh"))
    threads = [threading.Thread(target=client.get, args=("/api/version",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [request.path for request in refreshing_server.requests].count("/api/token/refresh/") == 1
    assert len(refreshing_server.requests) == 7


def test_access_token_is_exchanged_again_after_its_time(refreshing_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = LabelStudioClient(refreshing_server.url, make_jwt("refresh"))
    client.get("/api/version")
    monkeypatch.setattr("backend.label_studio.ACCESS_TOKEN_SECONDS", -1.0)
    client.renew_access({"Authorization": "Bearer access-1"})
    assert client.get("/api/version")["authorization"] == "Bearer access-2"
    assert client.get("/api/version")["authorization"] == "Bearer access-3"


def test_refused_access_token_is_renewed_once(refreshing_server: LocalServer) -> None:
    refreshing_server.routes["/api/projects/1"] = lambda request: (
        json_reply({"id": 1}) if request.headers["authorization"] == "Bearer access-2" else json_reply({"detail": "no"}, 401)
    )
    assert LabelStudioClient(refreshing_server.url, make_jwt("refresh")).project(1) == {"id": 1}


def test_second_refusal_in_a_row_is_an_error(refreshing_server: LocalServer) -> None:
    refreshing_server.routes["/api/projects/1"] = json_reply({"detail": "no"}, 401)
    with pytest.raises(LabelStudioRefused, match="personal access token was refused"):
        LabelStudioClient(refreshing_server.url, make_jwt("refresh")).project(1)
    assert len([request for request in refreshing_server.requests if request.path.startswith("/api/projects")]) == 2


@pytest.mark.parametrize(
    ("token", "says"),
    [
        pytest.param("", "no token is configured", id="none"),
        pytest.param(LEGACY, "legacy tokens are switched off", id="legacy"),
        pytest.param(make_jwt("access"), "lives five minutes", id="access"),
    ],
)
def test_401_says_which_kind_of_token_failed_and_shows_no_token(server: LocalServer, token: str, says: str) -> None:
    server.routes["/api/version"] = json_reply({"detail": "no"}, 401)
    with pytest.raises(LabelStudioRefused, match=says) as caught:
        LabelStudioClient(server.url, token).get("/api/version")
    assert caught.value.http_status == 401
    assert not token or token not in caught.value.message


def test_revoked_personal_token_is_named(refreshing_server: LocalServer) -> None:
    revoked = make_jwt("refresh") + "x"
    with pytest.raises(LabelStudioRefused, match="was revoked") as caught:
        LabelStudioClient(refreshing_server.url, revoked).get("/api/version")
    assert revoked not in caught.value.message


@pytest.mark.parametrize(
    ("path", "is_sent"),
    [
        pytest.param("/data/upload/1/a.png", True, id="upload"),
        pytest.param("/data/local-files/?d=a/b.png", True, id="local file"),
        pytest.param("/storage-data/uploaded/?filepath=upload/1/a.png", True, id="cloud-backed upload"),
        pytest.param("/tasks/3/presign/?fileuri=czM6Ly9i", True, id="presign"),
        pytest.param("/api/projects/1", False, id="API"),
        pytest.param("/data/../api/projects/1", False, id="dots"),
        pytest.param("/data/%2e%2e/api/projects/1", False, id="escaped dots"),
    ],
)
def test_token_goes_only_to_paths_that_serve_files(path: str, is_sent: bool) -> None:
    client = LabelStudioClient("http://studio.example:8080", LEGACY)
    assert bool(client.file_headers(client.absolute(path))) is is_sent


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://studio.example:8080/data/upload/1/a.png", id="other scheme"),
        pytest.param("http://studio.example/data/upload/1/a.png", id="other port"),
        pytest.param("http://studio.example.evil.com:8080/data/upload/1/a.png", id="other host"),
        pytest.param("http://studio.example:8080@evil.com/data/upload/1/a.png", id="host as user name"),
    ],
)
def test_token_goes_only_to_the_configured_origin(url: str) -> None:
    assert LabelStudioClient("http://studio.example:8080", LEGACY).file_headers(url) == {}


@pytest.mark.parametrize("path", ["/data/upload/1/a.png", "/ls/data/upload/1/a.png"])
def test_path_prefix_of_label_studio_is_added_once(path: str) -> None:
    client = LabelStudioClient("https://example.org/ls/", LEGACY)
    assert client.absolute(path) == "https://example.org/ls/data/upload/1/a.png"
    assert client.file_headers(client.absolute(path)) == {"Authorization": f"Token {LEGACY}"}


def test_password_inside_the_address_is_not_kept() -> None:
    assert LabelStudioClient("http://user:secret@studio.example:8080/ls/", LEGACY).url == "http://studio.example:8080/ls"


def test_default_ports_are_one_origin() -> None:
    assert origin_of("https://Example.org/a") == origin_of("https://example.org:443/b")
    assert origin_of("http://example.org") != origin_of("https://example.org")


def test_tasks_are_read_page_by_page(server: LocalServer) -> None:
    def page(request: Request) -> Reply:
        number = int(request.path.partition("page=")[2].partition("&")[0])
        found = [{"id": 2 * number - 1}, {"id": 2 * number}] if number < 3 else [{"id": 5}]
        return json_reply({"total": 5, "tasks": found})

    server.routes["/api/tasks"] = page
    tasks = LabelStudioClient(server.url, LEGACY).tasks(1, page_size=2)
    assert [task["id"] for task in tasks] == [1, 2, 3, 4, 5]
    assert len(server.requests) == 3


def test_tasks_deleted_while_paging_end_the_list(server: LocalServer) -> None:
    first, gone = json_reply({"total": 5, "tasks": [{"id": 1}]}), json_reply({"detail": "Invalid page."}, 404)
    server.routes["/api/tasks"] = lambda request: first if "page=1&" in request.path else gone
    assert list(LabelStudioClient(server.url, LEGACY).tasks(1, page_size=1)) == [{"id": 1}]


def test_missing_project_is_an_error_with_the_words_of_label_studio(server: LocalServer) -> None:
    server.routes["/api/projects/9"] = json_reply({"detail": "No Project matches the given query."}, 404)
    with pytest.raises(LabelStudioRefused, match="404 to GET /api/projects/9: No Project matches") as caught:
        LabelStudioClient(server.url, LEGACY).project(9)
    assert caught.value.http_status == 404


def test_redirect_asks_for_the_final_address_instead_of_losing_the_body(server: LocalServer) -> None:
    server.routes["/api/predictions/"] = Reply(301, headers={"Location": "https://studio.example/api/predictions/?x=1"})
    with pytest.raises(LabelStudioError, match=r"redirects to https://studio\.example/api/predictions/; set LABEL_STUDIO_URL"):
        LabelStudioClient(server.url, LEGACY).create_prediction(1, [], score=0.0, model_version="v")


def test_page_that_is_no_json_questions_the_address(server: LocalServer) -> None:
    server.routes["/api/version"] = Reply(200, b"<html>hello</html>")
    with pytest.raises(LabelStudioError, match="without JSON; is LABEL_STUDIO_URL"):
        LabelStudioClient(server.url, LEGACY).get("/api/version")


def test_server_that_is_not_there_is_named() -> None:
    with local_server() as gone:
        url = gone.url
    with pytest.raises(LabelStudioError, match=f"no answer from Label Studio at {url}"):
        LabelStudioClient(url, LEGACY, timeout=2).get("/api/version")


def test_cookies_of_label_studio_are_not_sent_back(server: LocalServer) -> None:
    server.routes["/api/version"] = Reply(200, b"{}", {"Set-Cookie": "sessionid=abc; Path=/"})
    client = LabelStudioClient(server.url, LEGACY)
    client.get("/api/version")
    client.get("/api/version")
    assert "cookie" not in server.requests[1].headers
