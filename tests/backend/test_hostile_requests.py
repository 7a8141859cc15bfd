"""Requests that mean harm: too much, too deep, half characters, other people's types. The service answers each in time and stays up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.errors import BackendError
from tests.backend.conftest import MakeClient
from tests.backend.messages import CONFIG, batch, box, click, gesture, typed
from tests.factories import FakeEngine, make_data_uri, make_task

IMAGE = '<Image name="image" value="$image"/>'
PAGES = CONFIG.replace('value="$image"', 'valueList="$pages"')
ENORMOUS = 10**4200
DEEP = json.loads("[" * 900 + "]" * 900)


def config(*controls: str) -> str:
    return f"<View>{IMAGE}{''.join(controls)}</View>"


def brush(*labels: str) -> str:
    return f'<BrushLabels name="b" toName="image">{"".join(labels)}</BrushLabels>'


def labels(count: int) -> str:
    return config(brush(*(f'<Label value="a{number}"/>' for number in range(count))))


def message_of(answer: Any) -> str:
    return str(answer.get_json()["error"]["message"])


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_body_that_any_web_page_could_post_is_refused(client: FlaskClient, path: str, content_type: str, tmp_path: Path) -> None:
    answer = client.post(path, data=json.dumps({**batch([make_task()]), "action": "X"}), content_type=content_type)
    assert answer.status_code == 400
    assert "application/json" in message_of(answer)
    assert not (tmp_path / "events.sqlite3").exists()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(gesture(make_task(), typed("a \ud800 dog")), 1, id="prompt"),
        pytest.param({**gesture(make_task(), typed("a dog")), "project": "1.\udfff"}, 1, id="project of a prompt"),
        pytest.param(batch([make_task()], project="\ud83d"), 2, id="project of a batch"),
        pytest.param(batch([make_task(data={"image": make_data_uri(), "prompt": "\ud83d"})]), 3, id="prompt of a task"),
        pytest.param(batch([make_task()], CONFIG.replace("Dog", "\ud800")), 2, id="labeling config"),
    ],
)
def test_half_a_character_is_replaced_and_costs_no_answer(make_client: MakeClient, body: dict[str, Any], found: int) -> None:
    answer = make_client(keep_prompt=True).post("/predict", json=body)
    (result,) = answer.get_json()["results"]
    assert len(result["result"]) == found
    assert "\\ud" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("uri", ["http://example.com/\ud800", "http://\ud800/", "data:\ud800,\ud800", "s3://\ud800", "/data/\ud800"])
def test_half_a_character_in_an_address_is_a_reason_like_any_other(client: FlaskClient, uri: str) -> None:
    client.post("/predict", json=batch([make_task(data={"image": uri.replace("example.com", "no-such-host.invalid")})]))
    (failure,) = client.get("/status").get_json()["recent_failures"]
    assert "unexpected" not in failure["reason"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_json_is_read_in_utf_8_alone(client: FlaskClient, encoding: str) -> None:
    answer = client.post("/predict", data=json.dumps(batch([])).encode(encoding), content_type="application/json")
    assert answer.status_code == 400
    assert "UTF-8" in message_of(answer)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(batch([make_task(float("nan"))]), id="NaN as an id"),  # type: ignore[arg-type]
        pytest.param(batch([make_task(ENORMOUS)]), id="enormous id"),
        pytest.param(batch([make_task()], project=ENORMOUS), id="enormous project"),
        pytest.param(batch([make_task(data={"image": DEEP})]), id="deep data"),
        pytest.param(gesture(make_task(), click(float("inf"), 1)), id="infinite position"),
        pytest.param(gesture(make_task(), click(ENORMOUS, 1)), id="enormous position"),
        pytest.param(gesture(make_task(), box(1, 1, 5, 5, rotation=float("nan"))), id="NaN as an angle"),
        pytest.param(gesture(make_task(), box(0, 0, 1e-300, 1e-300)), id="box without area"),
        pytest.param(gesture(make_task(data={"pages": []}), click(1, 1, item_index=ENORMOUS), label_config=PAGES), id="enormous index"),
        pytest.param(gesture(make_task(), DEEP), id="deep gesture"),
        pytest.param(gesture(make_task(), typed("a dog", to_name=DEEP)), id="deep name"),
        pytest.param(gesture(make_task(drafts=[{"result": [{"id": DEEP, "value": DEEP}]}]), typed("a dog", id=DEEP)), id="deep draft"),
    ],
)
def test_odd_numbers_and_depths_harm_nothing_beyond_their_task(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.post("/predict", data=json.dumps(body), content_type="application/json")
    assert answer.status_code == 200
    assert len(answer.get_json()["results"]) == 1
    assert client.get("/status").status_code == 200


def test_more_gestures_than_a_person_makes_are_refused(client: FlaskClient, engine: FakeEngine) -> None:
    answer = client.post("/predict", json=gesture(make_task(), *[click(1, 1)] * 201))
    assert answer.status_code == 400
    assert "at most 200" in message_of(answer)
    assert engine.calls == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gesture(make_task(), click(1, 1, to_name="n" * 10**6)), id="name in a gesture"),
        pytest.param(batch([make_task(data={"k" * 10**6: 1})]), id="field of a task"),
    ],
)
def test_what_went_wrong_is_remembered_in_short(client: FlaskClient, body: dict[str, Any]) -> None:
    client.post("/predict", json=body)
    assert 50 < len(client.get("/status").data) < 3000


def test_a_message_is_one_printable_line() -> None:
    error = BackendError("found \x1b[31m'a\nb'\u2028" + "x" * 5000)
    assert error.message == str(error)
    assert error.message.startswith("found  [31m'a b' x")
    assert error.message.endswith("...")
    assert len(error.message) == 1000


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        pytest.param(labels(3001), "3001 labels and words", id="labels"),
        pytest.param(
            config(brush(f'<Label value="a" prompt="{",".join(map(str, range(100_000)))}"/>')),
            "100001 labels and words",
            id="words of a label",
        ),
        pytest.param(config(brush(f'<Label value="{"a " * 400_000}"/>')), "has 799999 characters, at most 1000", id="a long label"),
        pytest.param(config('<Brush name="b" toName="image"/>' * 200), "201 images and controls", id="controls"),
        pytest.param("<a>" * 100_000 + "</a>" * 100_000, "no Image", id="depth"),
        pytest.param(config(f'<Brush name="b" toName="{"x," * 400_000}"/>'), "toName='x,x,", id="a long list of images"),
        pytest.param(config('<KeyPoint name="b" toName="image"/>' * 20_000), "no control that can hold masks", id="other controls"),
    ],
)
def test_a_labeling_config_that_asks_for_too_much_is_refused_soon(client: FlaskClient, xml: str, says: str) -> None:
    started = time.process_time()
    answer = client.post("/predict", json=gesture(make_task(), typed("dog " * 200), label_config=xml))
    assert answer.status_code == 422
    assert says in message_of(answer)
    assert len(message_of(answer)) <= 1000
    assert time.process_time() - started < 10


def test_labels_of_a_task_that_are_too_many_cost_that_task_alone(client: FlaskClient) -> None:
    xml = config('<BrushLabels name="b" toName="image" value="$things"/>')
    tasks = [make_task(n, {"image": make_data_uri(), "things": things}) for n, things in enumerate([["a"] * 100_000, ["Dog"]])]
    first, second = client.post("/predict", json=batch(tasks, xml)).get_json()["results"]
    assert first == []
    assert len(second["result"]) == 1


def test_two_thousand_labels_are_asked_for_and_matched_in_time(client: FlaskClient) -> None:
    started = time.process_time()
    (answer,) = client.post("/predict", json=gesture(make_task(), typed("x a1999 " * 100), label_config=labels(2000))).get_json()["results"]
    assert answer["result"][0]["value"]["brushlabels"] == ["a1999"]
    assert time.process_time() - started < 10
