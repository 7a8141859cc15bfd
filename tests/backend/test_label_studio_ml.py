"""The adapter for ``label-studio-ml start``: by a stand-in of the library's contract, and by the library where it is installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import models
from backend.event_store import EventStore
from backend.events import Event
from backend.label_studio_ml.shared import shared_service
from tests.backend import label_studio_ml_stand_in as stand_in
from tests.factories import FakeEngine, make_task, make_weights_folder

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, which is not ours to mend

CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="mask" toName="image"><Label value="Dog"/><Label value="Cat"/></BrushLabels>
</View>
"""


@pytest.fixture
def loads() -> list[FakeEngine]:
    """Every engine that was loaded."""
    return []


@pytest.fixture(params=["stand-in", "library"])
def client(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loads: list[FakeEngine]
) -> Iterator[FlaskClient]:
    """A client of the app that ``_wsgi`` offers, with a fake engine."""

    def load_engine(profile: str, **_: Any) -> FakeEngine:
        loads.append(FakeEngine(name=profile))
        return loads[-1]

    monkeypatch.chdir(tmp_path)  # away from a developer's .env
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WORDMASK_PROFILE", str(make_weights_folder(tmp_path / "fake")))
    monkeypatch.setenv("MODEL_DIR", "given back after the test")
    monkeypatch.delenv("MODEL_DIR")
    monkeypatch.setitem(vars(models), "load_engine", load_engine)  # setattr would look the real one up, which loads torch
    for name in [name for name in sys.modules if name.split(".")[0] == "label_studio_ml" or name.startswith("backend.label_studio_ml.")]:
        if name != "backend.label_studio_ml.shared":
            monkeypatch.delitem(sys.modules, name)
    if request.param == "stand-in":
        stand_in.install(monkeypatch)
    elif importlib.util.find_spec("label_studio_ml") is None:  # not importorskip: it is for _wsgi to import it, at the right moment
        pytest.skip("the extra label-studio-ml is not installed")
    shared_service.cache_clear()
    wsgi = importlib.import_module("backend.label_studio_ml._wsgi")
    shared_service().engine.wait(10)
    yield wsgi.app.test_client()
    shared_service.cache_clear()
    for name in ("backend.label_studio_ml._wsgi", "backend.label_studio_ml.model"):
        sys.modules.pop(name, None)


def post(client: FlaskClient, path: str, **body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code in (200, 201), response.text
    return response.get_json()


def predict(client: FlaskClient, *tasks: dict[str, Any], config: str = CONFIG, context: Any = None) -> list[Any]:
    params = {"login": None, "password": None, "context": context}
    results: list[Any] = post(client, "/predict", tasks=list(tasks), project="7.1700000000", label_config=config, params=params)["results"]
    return results


def typed(text: str) -> dict[str, Any]:
    return {"result": [{"id": "a", "type": "textarea", "from_name": "prompt", "to_name": "image", "value": {"text": [text]}}]}


def test_health_names_the_model_class(client: FlaskClient) -> None:
    assert client.get("/health").get_json() == {"status": "UP", "model_class": "WordmaskModel"}


@pytest.mark.parametrize("extra", [None, "", '{"a": 1}', {"a": 1}, [1]], ids=["none", "empty", "text", "object", "list"])
def test_setup_tells_the_version_whatever_the_extra_parameters_are(client: FlaskClient, extra: Any) -> None:
    answer = post(client, "/setup", project="7.1700000000", schema=CONFIG, hostname="http://x", access_token="t", extra_params=extra)
    assert answer == {"model_version": "fake-1.0.0+00000000"}


def test_a_batch_gets_one_prediction_per_task_and_none_where_the_image_is_missing(client: FlaskClient) -> None:
    first, second, third = predict(client, make_task(1), make_task(2, data={}), make_task(3))
    for prediction in (first, third):
        assert prediction["model_version"] == "fake-1.0.0+00000000"
        assert [region["value"]["brushlabels"] for region in prediction["result"]] == [["Dog"], ["Cat"]]
    assert second == []


def test_a_typed_prompt_gets_a_mask_that_keeps_it(client: FlaskClient) -> None:
    (answer,) = predict(client, make_task(), context=typed("the cat"))
    (region,) = answer["result"]
    assert region["value"]["brushlabels"] == ["Cat"]
    assert region["meta"] == {"text": ["the cat"]}


@pytest.mark.parametrize("context", [None, {}, {"result": []}], ids=["null", "empty", "no gesture"])
def test_a_context_without_gesture_is_a_batch(client: FlaskClient, context: Any) -> None:
    assert len(predict(client, make_task(), make_task(2), context=context)) == 2


def test_a_config_without_masks_gives_no_prediction_instead_of_a_traceback(client: FlaskClient) -> None:
    config = '<View><Image name="image" value="$image"/><Choices name="c" toName="image"><Choice value="x"/></Choices></View>'
    assert predict(client, make_task(1), make_task(2), config=config) == [[], []]
    assert predict(client, make_task(1), config=config, context=typed("the cat")) == [{"result": [], "score": 0.0}]


def test_the_engine_is_loaded_once_for_all_requests(client: FlaskClient, loads: list[FakeEngine]) -> None:
    for number in range(3):
        predict(client, make_task(number))
    assert len(loads) == 1
    assert len(loads[0].calls) == 3


def test_an_event_is_written_down_and_answered_at_once(client: FlaskClient, tmp_path: Path) -> None:
    answer = post(
        client,
        "/webhook",
        action="ANNOTATION_CREATED",
        project={"id": 7, "label_config": CONFIG},
        annotation={"id": 5, "updated_at": "2026-01-01T00:00:00Z"},
        task={"id": 3},
    )
    assert answer == {"result": {"status": "recorded"}, "status": "ok"}
    (stored,) = EventStore(tmp_path / "data" / "events.sqlite3").waiting()
    assert stored.event == Event("ANNOTATION_CREATED", 7, (5,), (3,), "2026-01-01T00:00:00Z", corrections=1)


def test_the_command_line_refuses_a_setting_that_does_not_exist(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    wsgi = importlib.import_module("backend.label_studio_ml._wsgi")
    with pytest.raises(SystemExit):
        wsgi.main(["--kwargs", "profil=tiny"])
    assert "'profil' is not a setting" in capsys.readouterr().err


def test_the_command_line_says_in_one_line_that_weights_are_missing(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    wsgi = importlib.import_module("backend.label_studio_ml._wsgi")
    with pytest.raises(SystemExit):
        wsgi.main(["--kwargs", "profile=/no/such/folder"])
    *_, line = capsys.readouterr().err.splitlines()
    assert "cannot serve '/no/such/folder': no profile and no folder is called" in line


def test_the_librarys_database_lies_in_the_data_folder(client: FlaskClient, tmp_path: Path) -> None:
    post(client, "/setup", project="7.1700000000", schema=CONFIG)
    assert os.environ["MODEL_DIR"] == str(tmp_path / "data" / "label-studio-ml")
    assert not (tmp_path / "cache.db").exists()
