"""The download over HTTP: what the caller may see in Label Studio, and nothing else."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.export.download import TOKEN_HEADER
from tests.backend.conftest import MakeClient
from tests.backend.export.test_live_tasks import Studio
from tests.export_factories import annotated, brush_region, ring_and_island
from tests.local_http import Reply, local_server

PATH = "/projects/1/export/coco"
TOKEN = {TOKEN_HEADER: "b" * 40}


@pytest.fixture
def studio() -> Iterator[Studio]:
    with local_server() as server:
        yield Studio(server, 3)


def test_a_download_holds_the_masks_and_the_report(make_client: MakeClient, studio: Studio) -> None:
    studio.tasks.append(annotated(9, [brush_region(ring_and_island(), labels=["Horse"])]))
    answer = make_client(label_studio_url=studio.server.url).get(PATH, headers=TOKEN, buffered=True)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    files = zipfile.ZipFile(io.BytesIO(answer.data))
    assert sorted(files.namelist()) == ["instances.json", "report.json"]
    assert len(json.loads(files.read("instances.json"))["annotations"]) == 3
    assert json.loads(files.read("report.json"))["counts"]["errors"] == 1


def test_label_studio_is_asked_with_the_callers_token_and_never_with_ours(make_client: MakeClient, studio: Studio) -> None:
    make_client(label_studio_url=studio.server.url, label_studio_api_key="c" * 40).get(PATH, headers=TOKEN, buffered=True)
    assert {request.headers["authorization"] for request in studio.server.requests} == {"Token " + "b" * 40}


def test_addresses_in_tasks_are_not_followed(make_client: MakeClient, studio: Studio) -> None:
    studio.tasks = [annotated(1, [], image=f"{studio.server.url}/secret.png"), annotated(2, [], image="/etc/passwd")]
    answer = make_client(label_studio_url=studio.server.url, allow_private_hosts=True).get(PATH, headers=TOKEN, buffered=True)
    assert answer.status_code == 200
    assert {request.path.partition("?")[0] for request in studio.server.requests} == {"/api/projects/1", "/api/tasks"}


def test_nothing_stays_on_the_disk(make_client: MakeClient, studio: Studio, tmp_path: Path) -> None:
    make_client(label_studio_url=studio.server.url).get(PATH, headers=TOKEN, buffered=True)
    assert list((tmp_path / "exports").iterdir()) == []


@pytest.mark.parametrize(
    ("query", "headers", "status", "message"),
    [
        pytest.param("", {}, 403, TOKEN_HEADER, id="no token"),
        pytest.param("?file=/etc/passwd", TOKEN, 400, "unknown parameter 'file'", id="a file"),
        pytest.param("?source=all", TOKEN, 400, "expected source", id="an unknown source"),
        pytest.param("?polygons=1", TOKEN, 400, "polygons=true or false", id="no boolean"),
        pytest.param("?tolerance=nan", TOKEN, 400, "from 0 to 100", id="not a number"),
        pytest.param("?split=../../x=1", TOKEN, 400, "cannot read the split", id="a path as split"),
    ],
)
def test_bad_requests_get_the_error_body(
    make_client: MakeClient, studio: Studio, query: str, headers: dict[str, str], status: int, message: str
) -> None:
    answer = make_client(label_studio_url=studio.server.url).get(PATH + query, headers=headers, buffered=True)
    assert answer.status_code == status
    assert message in answer.get_json()["error"]["message"]


@pytest.mark.parametrize(("theirs", "ours"), [(401, 403), (403, 403), (404, 502), (500, 502)])
def test_a_refusal_of_label_studio_is_told(make_client: MakeClient, studio: Studio, theirs: int, ours: int) -> None:
    studio.server.routes["/api/projects/1"] = Reply(theirs, b'{"detail": "no"}')
    assert make_client(label_studio_url=studio.server.url).get(PATH, headers=TOKEN, buffered=True).status_code == ours


def test_the_log_in_of_the_service_comes_first(make_client: MakeClient, studio: Studio) -> None:
    client = make_client(label_studio_url=studio.server.url, basic_auth_user="user", basic_auth_pass="pass")
    assert client.get(PATH, headers=TOKEN, buffered=True).status_code == 401
    login = {"Authorization": "Basic " + base64.b64encode(b"user:pass").decode()}
    assert client.get(PATH, headers=TOKEN | login, buffered=True).status_code == 200


def test_without_a_label_studio_there_is_nothing_to_download(make_client: MakeClient) -> None:
    assert make_client().get(PATH, headers=TOKEN, buffered=True).status_code == 400


def test_a_second_export_at_the_same_time_is_asked_to_wait(make_client: MakeClient, studio: Studio) -> None:
    client = make_client(label_studio_url=studio.server.url)
    inner: list[int] = []
    serve = studio.server.routes["/api/projects/1"]

    def ask_again(request: object) -> Reply:
        studio.server.routes["/api/projects/1"] = serve
        inner.append(client.application.test_client().get(PATH, headers=TOKEN, buffered=True).status_code)
        return serve(request)  # type: ignore[operator]

    studio.server.routes["/api/projects/1"] = ask_again
    assert client.get(PATH, headers=TOKEN, buffered=True).status_code == 200
    assert inner == [503]
