"""Files, tokens, predictions and the doctor against a real Label Studio; the model is a fake, so that only the way there is tested."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from werkzeug.serving import make_server

from backend.app import create_app
from backend.diagnosis import diagnose
from backend.doctor import Check
from backend.errors import ImageUnavailable
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.label_studio import LabelStudioClient, client_of
from backend.label_studio_errors import LabelStudioRefused
from backend.preannotate import Preannotation, Summary
from backend.settings import Settings
from models import RgbImage
from tests.backend.messages import CONFIG
from tests.e2e.conftest import LabelStudio
from tests.factories import FakeEngine, make_image, make_settings

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

PICTURE = make_image((48, 64), (200, 100, 50))


def png(image: RgbImage = PICTURE) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def personal_token(label_studio: LabelStudio) -> str:
    return str(label_studio.api.call("POST", "/api/token/")["token"])


@pytest.fixture
def project(label_studio: LabelStudio, request: pytest.FixtureRequest) -> int:
    """A project of its own for the test, with the config of all tools."""
    return label_studio.api.create_project(request.node.name[:50], CONFIG)


def upload(label_studio: LabelStudio, project: int, tmp_path: Path, count: int = 1) -> list[dict[str, Any]]:
    paths = [tmp_path / f"picture {number}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(png())
    return label_studio.api.upload_images(project, paths)


def import_tasks(label_studio: LabelStudio, project: int, *data: dict[str, Any]) -> list[int]:
    answer = label_studio.api.call("POST", f"/api/projects/{project}/import?return_task_ids=1", json=[{"data": item} for item in data])
    return list(answer["task_ids"])


def settings_for(label_studio: LabelStudio, tmp_path: Path, token: str | None = None, **changes: Any) -> Settings:
    values = {"label_studio_url": label_studio.url, "label_studio_api_key": token or label_studio.token}
    return make_settings(tmp_path / "state", **values | changes)


def loader_for(label_studio: LabelStudio, tmp_path: Path, token: str | None = None) -> ImageLoader:
    settings = settings_for(label_studio, tmp_path, token)
    return ImageLoader(settings, client_of(settings))


# --- images and tokens


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_uploaded_image_is_read_with_either_kind_of_token(
    label_studio: LabelStudio, project: int, tmp_path: Path, personal_token: str, kind: str
) -> None:
    [task] = upload(label_studio, project, tmp_path)
    token = personal_token if kind == "personal" else label_studio.token
    assert LabelStudioClient(label_studio.url, token).token_kind == kind
    loaded = loader_for(label_studio, tmp_path, token).load(task["data"]["image"], task_id=task["id"])
    assert np.array_equal(loaded.rgb, PICTURE)


def test_legacy_token_is_explained_once_legacy_tokens_are_off(
    label_studio: LabelStudio, project: int, tmp_path: Path, personal_token: str
) -> None:
    [task] = upload(label_studio, project, tmp_path)
    uri = task["data"]["image"]
    admin = LabelStudioClient(label_studio.url, personal_token)
    admin.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False})
    try:
        with pytest.raises(ImageUnavailable, match="legacy tokens are switched off"):
            loader_for(label_studio, tmp_path).load(uri, task_id=task["id"])
        assert np.array_equal(loader_for(label_studio, tmp_path, personal_token).load(uri, task_id=task["id"]).rgb, PICTURE)
        checks = list(diagnose(settings_for(label_studio, tmp_path), project, None))
        assert (checks[-1].name, checks[-1].status) == ("token", "fail")
    finally:
        admin.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})


def test_personal_token_of_another_server_is_explained(label_studio: LabelStudio, personal_token: str) -> None:
    head, _, signature = personal_token.rpartition(".")
    with pytest.raises(LabelStudioRefused, match="belongs to another server"):
        LabelStudioClient(label_studio.url, f"{head}.{signature[::-1]}").get("/api/current-user/whoami")


def test_local_file_needs_a_storage_of_its_folder(
    label_studio: LabelStudio, project: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [files] = tmp_path_factory.getbasetemp().glob("label-studio[0-9]*/files")
    folder = files / "pictures"
    folder.mkdir(exist_ok=True)
    (folder / "ä 1.png").write_bytes(png())
    loader = loader_for(label_studio, tmp_path)
    uri = f"{label_studio.url}/data/local-files/?d=pictures/ä 1.png"
    with pytest.raises(ImageUnavailable, match="no Local Files storage of a project covers its folder"):
        loader.load(uri, task_id=1)
    label_studio.api.call("POST", "/api/storages/localfiles", json={"project": project, "path": str(folder), "use_blob_urls": True})
    assert np.array_equal(loader.load(uri, task_id=1).rgb, PICTURE)
    assert np.array_equal(loader.load("/data/local-files/?d=pictures/ä 1.png", task_id=1).rgb, PICTURE)


def test_cloud_address_without_storage_is_explained(label_studio: LabelStudio, project: int, tmp_path: Path) -> None:
    [task] = import_tasks(label_studio, project, {"image": "s3://bucket/a.png"})
    with pytest.raises(ImageUnavailable, match="no storage of the task's project holds this address"):
        loader_for(label_studio, tmp_path).load("s3://bucket/a.png", task_id=task)


def test_deleted_upload_is_explained(label_studio: LabelStudio, tmp_path: Path) -> None:
    with pytest.raises(ImageUnavailable, match="Label Studio does not have this file"):
        loader_for(label_studio, tmp_path).load("/data/upload/1/00000000-gone.png", task_id=1)


# --- predictions


def preannotate(label_studio: LabelStudio, project: int, tmp_path: Path, **fields: Any) -> Summary:
    settings = settings_for(label_studio, tmp_path)
    client = client_of(settings)
    assert client is not None
    plan = parse_label_config(client.project(project)["label_config"])
    summary = Summary()
    Preannotation(client, plan, FakeEngine(), ImageLoader(settings, client), settings, **fields).run(project, summary.add)
    return summary


def test_preannotation_continues_where_it_stopped_and_replaces_on_request(label_studio: LabelStudio, project: int, tmp_path: Path) -> None:
    tasks = upload(label_studio, project, tmp_path, 5)
    assert preannotate(label_studio, project, tmp_path, limit=2).counts["done"] == 2
    assert preannotate(label_studio, project, tmp_path).counts == {"done": 3, "empty": 0, "skipped": 2, "failed": 0}
    before = [label_studio.api.predictions(task["id"]) for task in tasks]
    assert [[found["model_version"] for found in stored] for stored in before] == [[FakeEngine().version]] * 5
    assert {region["type"] for region in before[0][0]["result"]} == {"brushlabels"}
    assert preannotate(label_studio, project, tmp_path, redo=True).counts["done"] == 5
    after = [label_studio.api.predictions(task["id"]) for task in tasks]
    assert [len(stored) for stored in after] == [1] * 5
    assert {stored[0]["id"] for stored in after}.isdisjoint(stored[0]["id"] for stored in before)


def test_tasks_that_cannot_be_predicted_are_reported_and_asked_again(label_studio: LabelStudio, project: int, tmp_path: Path) -> None:
    [good] = upload(label_studio, project, tmp_path)
    gone, other = import_tasks(label_studio, project, {"image": "/data/upload/1/00000000-gone.png"}, {"image": "http://127.0.0.1:1/a.png"})
    for done in ("done", "skipped"):
        summary = preannotate(label_studio, project, tmp_path)
        assert (summary.counts[done], summary.counts["failed"]) == (1, 2)  # type: ignore[index]
    assert sorted(task for tasks in summary.tasks_by_reason.values() for task in tasks) == [gone, other]
    assert len(label_studio.api.predictions(good["id"])) == 1


# --- doctor


@pytest.fixture
def service_url(label_studio: LabelStudio, tmp_path: Path) -> Iterator[str]:
    """Our service with a fake model, in this process."""
    server = make_server("127.0.0.1", 0, create_app(settings_for(label_studio, tmp_path), FakeEngine()), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask_doctor(label_studio: LabelStudio, project: int, tmp_path: Path, **changes: Any) -> dict[str, Check]:
    checks = list(diagnose(settings_for(label_studio, tmp_path, **changes), project, FakeEngine))
    assert all(check.status == "ok" or check.remedy or check.message for check in checks)
    return {check.name: check for check in checks}


def wrong(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.status for name, check in checks.items() if check.status != "ok"}


def test_doctor_finds_nothing_wrong_with_a_good_project(label_studio: LabelStudio, project: int, tmp_path: Path, service_url: str) -> None:
    upload(label_studio, project, tmp_path)
    label_studio.api.connect_backend(project, service_url)
    checks = ask_doctor(label_studio, project, tmp_path)
    assert wrong(checks) == {}
    assert "64 x 48 pixels" in checks["first image"].message
    assert checks["webhook"].message == f"{service_url}/webhook"


def test_doctor_names_what_is_wrong_with_a_project(label_studio: LabelStudio, project: int, tmp_path: Path, service_url: str) -> None:
    gone = {"image": "/data/upload/1/00000000-gone.png"}
    _, without_field = import_tasks(label_studio, project, gone, gone)
    label_studio.api.set_task_data(without_field, {"photo": "x"})
    label_studio.api.connect_backend(project, service_url, is_interactive=False)
    label_studio.api.call("POST", f"/api/webhooks/?project={project}", json={"url": "http://127.0.0.1:1/webhook", "project": project})
    label_studio.api.call("PATCH", f"/api/projects/{project}", json={"sampling": "Uncertainty sampling"})
    assert wrong(ask_doctor(label_studio, project, tmp_path)) == {
        "tasks": "warn",
        "first image": "fail",
        "interactive preannotations": "warn",
        "webhook": "warn",
        "model version": "warn",
    }


def test_doctor_says_that_no_backend_is_connected_and_that_it_could_be(label_studio: LabelStudio, project: int, tmp_path: Path) -> None:
    upload(label_studio, project, tmp_path)
    checks = ask_doctor(label_studio, project, tmp_path)
    assert wrong(checks) == {"backend": "fail"}
    assert checks["loopback backends"].status == "ok"
    assert label_studio.api.call("GET", f"/api/ml?project={project}") == []


def test_doctor_without_a_project_looks_at_all_that_is_connected(
    label_studio: LabelStudio, project: int, tmp_path: Path, service_url: str
) -> None:
    label_studio.api.connect_backend(project, service_url)
    checks = {check.name: check for check in diagnose(settings_for(label_studio, tmp_path), None, FakeEngine)}
    assert {"packages", "devices", "weights", "published files", "data folder", "Label Studio", "token"} <= checks.keys()
    assert checks["token"].status == "ok"
    assert "calls" in checks[f"project {project}, backend state"].message
    assert checks[f"project {project}, service"].status == "ok"
    assert checks[f"project {project}, webhook"].message == f"{service_url}/webhook"


def test_doctor_names_a_service_that_has_stopped(label_studio: LabelStudio, project: int, tmp_path: Path) -> None:
    upload(label_studio, project, tmp_path)
    server = make_server("127.0.0.1", 0, create_app(settings_for(label_studio, tmp_path), FakeEngine()), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    label_studio.api.connect_backend(project, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
    checks = ask_doctor(label_studio, project, tmp_path)
    assert wrong(checks) == {"backend": "fail", "backend state": "fail", "backend from here": "fail"}
    assert "disconnected" in checks["backend state"].message


def test_doctor_names_a_missing_project_and_an_unusable_config(label_studio: LabelStudio, tmp_path: Path) -> None:
    assert wrong(ask_doctor(label_studio, 99_999, tmp_path)) == {"project": "fail"}
    choices = '<View><Image name="image" value="$image"/><Choices name="c" toName="image"><Choice value="a"/></Choices></View>'
    checks = ask_doctor(label_studio, label_studio.api.create_project("only choices", choices), tmp_path)
    assert checks["labeling config"].status == "fail"
    assert "Choices" in checks["labeling config"].message
