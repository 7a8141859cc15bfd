"""The protocol as Label Studio speaks it: recorded requests are replayed, and every route is fed what it must refuse."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from backend.app import create_app
from backend.errors import SettingsError
from backend.event_store import EventStore
from backend.events import Event
from backend.regions import region_to_mask
from models import Engine
from tests.backend.conftest import MakeClient
from tests.backend.messages import CONFIG, batch, box, click, gesture, typed
from tests.factories import FakeEngine, fake_mask, make_data_uri, make_image, make_settings, make_task, make_weights_folder

PAYLOADS = Path(__file__).parents[1] / "data" / "label_studio_payloads"


def recorded_requests() -> list[Any]:
    return [
        pytest.param(request, id=f"{path.stem} {number} {request['path']}")
        for path in sorted(PAYLOADS.glob("*.json"))
        for number, request in enumerate(json.loads(path.read_text(encoding="utf-8"))["requests"])
    ]


def with_pictures(body: Any) -> Any:
    """The body with images that a test can load in place of uploads to a Label Studio that is gone."""
    if body and "tasks" in body:
        for task in body["tasks"]:
            for key, value in task.get("data", {}).items():
                if isinstance(value, str) and value.startswith("/data/upload"):
                    task["data"][key] = make_data_uri(make_image((240, 320)))
    return body


@pytest.mark.parametrize("request_", recorded_requests())
def test_every_recorded_request_gets_the_answer_that_label_studio_expects(client: FlaskClient, request_: dict[str, Any]) -> None:
    body = with_pictures(request_["json"])
    answer = client.open(request_["path"], method=request_["method"], json=body) if body else client.get(request_["path"])
    assert answer.status_code == 200
    found = answer.get_json()
    match request_["path"]:
        case "/health":
            assert found == {"status": "UP", "ready": True, "profile": "tiny", "model_version": "fake-1.0.0+00000000"}
        case "/setup":
            assert found == {"model_version": "fake-1.0.0+00000000"}
        case "/versions":
            assert found == {"versions": ["fake-1.0.0+00000000"]}
        case "/predict":
            assert len(found["results"]) == len(body["tasks"])
            assert all(prediction["result"] for prediction in found["results"])
            assert all(prediction["model_version"] == "fake-1.0.0+00000000" for prediction in found["results"])
        case "/webhook":
            assert found["status"] == ("queued" if body["action"] == "START_TRAINING" else "recorded")


def test_a_recorded_prompt_gives_a_mask_of_the_images_size(client: FlaskClient) -> None:
    recorded = json.loads((PAYLOADS / "interactive_textarea_prompt.json").read_text(encoding="utf-8"))
    (result,) = client.post("/predict", json=with_pictures(recorded["requests"][0]["json"])).get_json()["results"]
    (region,) = result["result"]
    assert (region["type"], region["original_width"], region["original_height"]) == ("brushlabels", 320, 240)
    assert region["meta"] == {"text": ["the green square on the right"]}


BAD_BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="cut off"),
    pytest.param(b"\xff\xfe\x00", id="not text"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="a text"),
    pytest.param(b"[" * 200_000, id="nested too deeply"),
    pytest.param(b'{"action": ' + b"9" * 5000 + b"}", id="a number too long"),
]
POSTS = ["/setup", "/predict", "/webhook"]


def assert_error_shape(answer: Any, status: int) -> None:
    assert answer.status_code == status
    body = answer.get_json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "request_id"}
    assert all(isinstance(text, str) and text for text in body["error"].values())
    assert answer.headers["X-Request-ID"] == body["error"]["request_id"]
    assert "Traceback" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", BAD_BODIES)
def test_every_route_refuses_a_body_that_is_no_object(client: FlaskClient, path: str, body: bytes) -> None:
    assert_error_shape(client.post(path, data=body, content_type="application/json"), 400)


def test_every_route_has_the_one_error_shape_for_a_wrong_method(client: FlaskClient) -> None:
    paths = {re.sub("<[^>]+>", "1", rule.rule): rule.methods or set() for rule in client.application.url_map.iter_rules()}
    assert set(POSTS) < set(paths)
    for path, methods in paths.items():
        wrong = "DELETE" if "DELETE" not in methods else "PATCH"
        answer = client.open(path, method=wrong)
        assert_error_shape(answer, 405)
        assert answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/../../etc/passwd", "/static/x", "/%00", "/train", "/jobs/1"])
def test_unknown_routes_have_the_one_error_shape(client: FlaskClient, path: str) -> None:
    assert_error_shape(client.get(path), 404)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({}, "'tasks' must be a list", id="no tasks"),
        pytest.param(batch({}), "'tasks' must be a list", id="tasks an object"),  # type: ignore[arg-type]
        pytest.param(batch([1]), "found a number at place 0", id="a task that is a number"),
        pytest.param(batch([], label_config=None), "'label_config' must be", id="no labeling config"),  # type: ignore[arg-type]
        pytest.param(batch([], params=[]), "'params' must be", id="params a list"),
        pytest.param(batch([], params={"context": "x"}), "'context' must be", id="context a text"),
        pytest.param(batch([make_task()], params={"context": {"result": {}}}), "must be a list of regions", id="result an object"),
        pytest.param(batch([], params={"context": {"result": [{}]}}), "exactly one task", id="a gesture without a task"),
    ],
)
def test_a_prediction_request_of_wrong_form_is_refused_with_the_reason(client: FlaskClient, body: Any, message: str) -> None:
    answer = client.post("/predict", json=body)
    assert_error_shape(answer, 400)
    assert message in answer.get_json()["error"]["message"]


@pytest.mark.parametrize("xml", ["", "<View/>", "<View>", '<View><Image name="image" value="$image"/></View>', "<!DOCTYPE x><View/>"])
@pytest.mark.parametrize("make", [batch, gesture])
def test_a_labeling_config_that_cannot_hold_masks_is_named(client: FlaskClient, xml: str, make: Any) -> None:
    body = make([make_task()], label_config=xml) if make is batch else make(make_task(), typed("a dog"), label_config=xml)
    answer = client.post("/predict", json=body)
    assert_error_shape(answer, 422)
    assert answer.get_json()["error"]["code"] == "label_config"


@pytest.mark.parametrize(
    "params", [None, {}, {"context": None}, {"context": {}}, {"context": {"result": None}}, {"context": {"result": []}}]
)
def test_a_request_without_a_gesture_is_a_batch(client: FlaskClient, params: Any) -> None:
    (result,) = client.post("/predict", json=batch([make_task()], params=params)).get_json()["results"]
    assert len(result["result"]) == 2


def test_a_failing_task_gets_an_empty_list_and_the_others_their_regions(client: FlaskClient) -> None:
    answer = client.post("/predict", json=batch([make_task(1), {"id": 2, "data": {}}, make_task(3)]))
    first, failed, last = answer.get_json()["results"]
    assert (failed, len(first["result"]), len(last["result"])) == ([], 2, 2)
    status = client.get("/status").get_json()
    assert status["label_lists"] is False
    (failure,) = status["recent_failures"]
    assert (failure["task_id"], failure["project"]) == (2, "1.1700000000")
    assert "no field 'image'" in failure["reason"]


def test_no_tasks_get_no_results(client: FlaskClient) -> None:
    assert client.post("/predict", json=batch([])).get_json() == {"results": []}


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([typed("x" * 10_000)], id="a prompt that is far too long"),
        pytest.param([typed("")], id="an empty prompt"),
        pytest.param([typed("a dog", to_name="elsewhere")], id="an unknown image"),
        pytest.param([click(1, 1, item_index=9)], id="an image that is not in the list"),
        pytest.param([{"type": "brushlabels"}], id="an unknown gesture"),
        pytest.param([None, 5, "x"], id="no regions at all"),
        pytest.param([click(10, 10, is_positive=False)], id="only a negative click"),
        pytest.param([box(150, 150, 5, 5)], id="a box off the image"),
    ],
)
def test_a_gesture_that_gives_nothing_leaves_label_studio_usable(client: FlaskClient, entries: list[Any]) -> None:
    task = make_task(data={"pages": [make_data_uri()]})
    body = gesture(task, *entries, label_config=CONFIG.replace('value="$image"', 'valueList="$pages"'))
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200
    assert answer.get_json() == {"results": [{"result": [], "score": 0.0, "model_version": "fake-1.0.0+00000000"}]}


def test_what_an_annotator_never_sees_is_told_by_status(client: FlaskClient, engine: FakeEngine) -> None:
    engine.failure = RuntimeError("broken")
    client.post("/predict", json=gesture(make_task(5), typed("a dog")))
    (failure,) = client.get("/status").get_json()["recent_failures"]
    assert (failure["task_id"], failure["reason"]) == (5, "unexpected RuntimeError; the log has the details")


def test_a_prompt_is_kept_for_the_next_task_when_wanted(make_client: MakeClient, engine: FakeEngine) -> None:
    make_client().post("/predict", json=gesture(make_task(), typed("the wet dog")))
    make_client(keep_prompt=True).post("/predict", json=batch([make_task(2)]))
    make_client(keep_prompt=True).post("/predict", json=batch([make_task(2)], project="1.1800000000"))
    assert [call[1] for call in engine.calls] == [["the wet dog"], ["the wet dog", "Cat"], ["Dog", "Cat"]]


def test_a_memory_that_cannot_be_written_costs_no_answer(make_client: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "prompts.sqlite3").write_text("not a database", encoding="utf-8")
    client = make_client(keep_prompt=True)
    (result,) = client.post("/predict", json=gesture(make_task(), typed("a dog"))).get_json()["results"]
    assert len(result["result"]) == 1
    (result,) = client.post("/predict", json=batch([make_task()])).get_json()["results"]
    assert len(result["result"]) == 2


def test_a_large_batch_is_answered_within_the_budget(make_client: MakeClient, engine: FakeEngine) -> None:
    engine.delay = 0.05
    client = make_client(predict_budget_seconds=0.5)
    started = time.monotonic()
    results = client.post("/predict", json=batch([make_task(number) for number in range(1200)])).get_json()["results"]
    assert time.monotonic() - started < 10
    assert len(results) == 1200
    assert results[0]["result"]
    assert results[-1] == []


def test_eight_annotators_at_once_each_get_the_mask_of_their_own_image(make_client: MakeClient, engine: FakeEngine) -> None:
    engine.delay = 0.02
    app = make_client(threads=4).application
    pictures = [make_image(colour=(number, 0, 0)) for number in range(8)]
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        body = gesture(make_task(number, data={"image": make_data_uri(pictures[number])}), typed("a dog"))
        found[number] = [app.test_client().post("/predict", json=body).get_json() for _ in range(3)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, picture in enumerate(pictures):
        for answer in found[number]:
            mask = region_to_mask(answer["results"][0]["result"][0], (48, 64))
            np.testing.assert_array_equal(mask, fake_mask(picture, "a dog"))


def loading_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Any, **settings: Any) -> FlaskClient:
    """A client of a service whose weights are there, but take what ``load`` takes."""
    monkeypatch.setattr("backend.app._load", load)
    profile = str(make_weights_folder(tmp_path / "profile", content=b"abc"))
    return create_app(make_settings(tmp_path, profile=profile, **settings)).test_client()


def test_while_the_model_loads_the_service_is_alive_but_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def load(*_: Any) -> Engine:
        gate.wait(10)
        return FakeEngine()

    client = loading_client(tmp_path, monkeypatch, load, predict_budget_seconds=0.1)
    alive = {"status": "UP", "ready": False, "profile": str(tmp_path / "profile"), "model_version": "profile-1.0.0+ba7816bf"}
    assert client.get("/health").get_json() == alive
    assert client.post("/setup", json={}).get_json() == {"model_version": "profile-1.0.0+ba7816bf"}
    assert_error_shape(client.get("/ready"), 503)
    assert client.get("/versions").get_json() == {"versions": []}
    assert client.post("/predict", json=batch([make_task(), make_task()])).get_json() == {"results": [[], []]}
    assert client.post("/predict", json=gesture(make_task(), typed("a dog"))).get_json()["results"][0]["result"] == []
    gate.set()


def test_weights_that_are_not_there_are_named_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot serve 'tyni': no profile and no folder .*; the profiles are: .*--profile"):
        create_app(make_settings(tmp_path, profile="tyni"))


def test_a_model_that_cannot_be_loaded_is_told_where_people_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> Engine:
        raise FileNotFoundError("no weights at tiny.safetensors")

    client = loading_client(tmp_path, monkeypatch, load)
    answer = client.post("/predict", json=batch([make_task()]))
    assert answer.get_json() == {"results": [[]]}
    answer = client.post("/setup", json={})
    assert_error_shape(answer, 503)
    assert "no weights at tiny.safetensors" in answer.get_json()["error"]["message"]
    assert "no weights at tiny.safetensors" in client.get("/health").get_json()["error"]


def test_a_body_larger_than_allowed_is_not_read(make_client: MakeClient) -> None:
    answer = make_client(max_request_bytes=100).post("/predict", json=batch([make_task()]))
    assert_error_shape(answer, 413)


def test_a_bug_is_answered_with_an_id_and_logged_with_its_trace(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr("backend.routes.parse_label_config", fail)
    with caplog.at_level(logging.ERROR):
        answer = client.post("/predict", json=batch([make_task()]))
    assert_error_shape(answer, 500)
    assert "secret" not in answer.get_data(as_text=True)
    assert "RuntimeError: secret internals" in caplog.text


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2:3", True), ("x" * 65, False), ("two words", False), ("", False)])
def test_a_callers_request_id_is_used_when_it_is_a_plain_one(client: FlaskClient, given: str, kept: bool) -> None:
    answer = client.get("/health", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) is kept
    assert answer.headers["X-Request-ID"]


def test_tokens_pictures_and_masks_are_never_logged(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post("/setup", json={"access_token": "hush-token", "hostname": "http://elsewhere", "schema": CONFIG})
        client.post("/predict?key=hush-query", json=batch([make_task()]), headers={"Authorization": "Bearer hush-header"})
        client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 1, "token": "hush-project"}})
    text = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("backend"))
    assert "/predict" in text
    assert "hush" not in text
    assert "base64" not in text
    assert "rle" not in text


def test_a_training_request_is_answered_with_its_job(client: FlaskClient) -> None:
    answers = [client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 7}}).get_json() for _ in range(2)]
    assert answers[0] == answers[1], "the button pressed twice asks for one job"
    assert answers[0]["status"] == "queued"
    (job,) = client.get("/jobs").get_json()["jobs"]
    assert job == client.get(f"/jobs/{answers[0]['job']}").get_json()
    assert (job["id"], job["project"], job["state"]) == (answers[0]["job"], 7, "queued")


def test_an_event_is_kept_before_it_is_answered(client: FlaskClient, tmp_path: Path) -> None:
    body = {"action": "ANNOTATION_CREATED", "annotation": {"id": 5, "task": 6, "updated_at": "t"}, "project": {"id": 7}}
    assert client.post("/webhook", json=body).get_json() == {"status": "recorded"}
    assert "already" in client.post("/webhook", json=body).get_json()["message"]
    (stored,) = EventStore(tmp_path / "events.sqlite3").waiting()
    assert stored.event == Event("ANNOTATION_CREATED", 7, (5,), (6,), "t", corrections=1)


def test_events_are_shown_with_what_came_of_them(client: FlaskClient, tmp_path: Path) -> None:
    for action in ("TASKS_CREATED", "PROJECT_UPDATED"):
        client.post("/webhook", json={"action": action, "project": {"id": 7, "token": "hush"}})
    EventStore(tmp_path / "events.sqlite3").settle([1], "ignored: it is about nothing that is known")
    answer = client.get("/events")
    told = [(event["action"], event["outcome"]) for event in answer.get_json()["events"]]
    assert told == [("PROJECT_UPDATED", None), ("TASKS_CREATED", "ignored: it is about nothing that is known")]
    assert "hush" not in answer.get_data(as_text=True)


def test_an_event_that_cannot_be_kept_is_not_answered_with_success(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "events.sqlite3").write_bytes(b"no database" * 1000)
    assert_error_shape(client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 7}}), 507)


def test_a_training_request_that_finds_no_queue_is_kept_for_the_trainer(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite3").write_bytes(b"no database" * 1000)
    answer = client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 7}}).get_json()
    assert (answer["job"], answer["status"]) == (None, "recorded")
    assert [stored.event for stored in EventStore(tmp_path / "events.sqlite3").waiting()] == [Event("START_TRAINING", 7)]


def test_an_event_is_answered_before_label_studio_grows_impatient(client: FlaskClient) -> None:
    took = []
    for number in range(20):
        annotation = {"id": number, "task": 6, "updated_at": "t", "result": [{"value": {"rle": list(range(256)) * 400}}]}
        body = {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": 7, "label_config": CONFIG * 100}}
        text = json.dumps(body)
        started = time.perf_counter()
        assert client.post("/webhook", data=text, content_type="application/json").status_code == 200
        took.append(time.perf_counter() - started)
    assert min(took) < 0.1, "100 000 numbers of masks; Label Studio waits 1 s"
