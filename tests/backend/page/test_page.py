"""The page without a browser: what it says, whom it lets change something, and what it never lets through."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.versions.line import VersionLine
from tests.backend.conftest import MakeClient
from tests.backend.page.world import EVIL, PROJECT, ask_for_jobs, publish_two_versions, record_correction, see_project

SERVE = f"/projects/{PROJECT}/serving"
AUTH = {"basic_auth_user": "ann", "basic_auth_pass": "word"}
OWN = {"Sec-Fetch-Site": "same-origin"}


def text_of(client: FlaskClient, **options: Any) -> str:
    answer = client.get("/", **options)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


@pytest.fixture
def line(tmp_path: Path) -> VersionLine:
    return publish_two_versions(tmp_path)


def test_a_new_service_says_what_will_be_here(client: FlaskClient) -> None:
    page = text_of(client)
    assert page.startswith("<!doctype html>")
    assert "No job yet" in page
    assert "wordmask connect" in page
    assert "http-equiv" not in page, "nothing will change by itself"


def test_everything_that_happened_is_told(client: FlaskClient, tmp_path: Path, line: VersionLine) -> None:
    failed, running = ask_for_jobs(tmp_path)
    see_project(tmp_path)
    record_correction(tmp_path)
    page = text_of(client)
    for said in (
        "Project 3: Pets",
        "base.p3.v2",
        "+0.018",
        "epoch 2 of 8",
        "the disk is full",
        "(attempt 2)",
        f"Job {running} is learning",
    ):
        assert said in page
    assert "1, the first came" in page
    assert "ANNOTATION_CREATED" in page
    assert page.count("<figure><figcaption>") == 3, "of the running job, of the newest version, and of all versions"
    assert re.search(r'<th scope="row">Fox</th><td class="number">8</td><td class="number">–</td>', page)
    assert 'http-equiv="refresh"' in page
    assert f"Job {failed} is learning" not in page


def test_no_text_of_others_becomes_markup(client: FlaskClient, tmp_path: Path, line: VersionLine) -> None:
    see_project(tmp_path, EVIL)
    ask_for_jobs(tmp_path)
    answer = client.get("/")
    assert "<script" not in answer.get_data(as_text=True)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_versions_of_an_older_project_of_the_same_number_are_not_shown(client: FlaskClient, tmp_path: Path, line: VersionLine) -> None:
    assert "Let version 1 serve" in text_of(client)
    see_project(tmp_path, created_at="2026-03-02T00:00:00Z")
    page = text_of(client)
    assert "Let version 1 serve" not in page
    assert "base.p3.v2" in page
    assert client.post(SERVE, data={"to": "base.p3.v1"}, headers=OWN).status_code == 404


def test_a_pointer_that_cannot_be_read_is_told_and_takes_nothing_else_away(client: FlaskClient, line: VersionLine) -> None:
    (line.folder / "serving").write_text("?", encoding="utf-8")
    page = text_of(client)
    assert "cannot be read" in page
    assert "base.p3.v1" in page


def test_pictures_are_served_and_nothing_beside_them(client: FlaskClient, line: VersionLine) -> None:
    page = text_of(client)
    urls = re.findall(r'<img src="([^"]+)"', page)
    assert len(urls) == 2
    for url in urls:
        with client.get(url) as answer:
            assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    folder = urls[0].rpartition("/")[0]
    for name in ("..%2fmanifest.json", "../manifest.json", "..%2fdelta.safetensors", "9-before.jpg"):
        assert client.get(f"{folder}/{name}").status_code == 404


def test_a_click_lets_an_older_version_serve_and_the_base_too(client: FlaskClient, line: VersionLine) -> None:
    assert "Let version 1 serve" in text_of(client)
    answer = client.post(SERVE, data={"to": "base.p3.v1"}, headers=OWN)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/#project-{PROJECT}")
    assert line.serving().name == "base.p3.v1"
    client.post(SERVE, data={"to": "base"}, headers=OWN)
    assert line.serving() is None
    assert "Let version 2 serve" in text_of(client)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Sec-Fetch-Site": "same-origin"}, 303, id="this page"),
        pytest.param({"Origin": "http://localhost"}, 303, id="this page without TLS"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403, id="another page"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="another port"),
        pytest.param({"Origin": "http://evil.example"}, 403, id="another page without TLS"),
        pytest.param({"Origin": "null"}, 403, id="a sandbox"),
        pytest.param({}, 403, id="no browser"),
    ],
)
def test_only_the_page_itself_can_send_its_form(client: FlaskClient, line: VersionLine, headers: dict[str, str], status: int) -> None:
    assert client.post(SERVE, data={"to": "base"}, headers=headers).status_code == status
    assert (line.serving() is None) == (status == 303)


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        pytest.param({"environ_base": {"REMOTE_ADDR": "10.0.0.7"}}, {}, id="from another machine"),
        pytest.param({}, {"Host": "rebound.example"}, id="by a name of somebody else"),
        pytest.param({}, {"X-Forwarded-For": "10.0.0.7"}, id="through a proxy"),
    ],
)
def test_without_a_login_only_this_machine_may_change_what_serves(
    client: FlaskClient, line: VersionLine, options: dict[str, Any], headers: dict[str, str]
) -> None:
    page = text_of(client, headers=headers, **options)
    assert "<button>" not in page
    assert "wordmask versions rollback" in page
    assert client.post(SERVE, data={"to": "base"}, headers={**OWN, **headers}, **options).status_code == 401
    assert line.serving().name == "base.p3.v2"


def test_with_a_login_the_page_is_for_those_who_have_it(make_client: MakeClient, line: VersionLine) -> None:
    client = make_client(**AUTH)
    assert client.get("/").status_code == 401
    assert client.post(SERVE, data={"to": "base"}, headers=OWN).status_code == 401
    assert client.get(f"/projects/{PROJECT}/versions/2/pictures/0-before.jpg").status_code == 401
    far = {"environ_base": {"REMOTE_ADDR": "10.0.0.7"}, "auth": ("ann", "word")}
    assert "<button>" in text_of(client, **far)
    assert client.post(SERVE, data={"to": "base"}, headers=OWN, **far).status_code == 303


@pytest.mark.parametrize("to", ["v9", "../../etc", "9"])
def test_a_version_that_is_not_there_is_refused(client: FlaskClient, line: VersionLine, to: str) -> None:
    assert client.post(SERVE, data={"to": to}, headers=OWN).status_code == 404
    assert line.serving().name == "base.p3.v2"
