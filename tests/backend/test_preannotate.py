from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from backend.errors import LabelStudioError
from backend.images import ImageLoader
from backend.label_config import parse_label_config
from backend.label_studio import LabelStudioClient
from backend.preannotate import Preannotation, Summary, TaskReport
from backend.predict import Outcome, TaskPrediction
from backend.prediction_store import PredictionStore
from tests.backend.fake_studio import CONFIG, FakeStudio, fake_studio
from tests.factories import FakeEngine, make_data_uri, make_settings
from tests.local_http import Reply, Request

VERSION = "fake-1.0.0+00000000"


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with fake_studio() as running:
        yield running


def make_run(studio: FakeStudio, tmp_path: Path, engine: FakeEngine | None = None, **fields: Any) -> Preannotation:
    settings = make_settings(tmp_path)
    client = LabelStudioClient(studio.server.url, "0123456789abcdef", timeout=5)
    fields = {"pauses": (0.0, 0.0)} | fields
    return Preannotation(client, parse_label_config(CONFIG), engine or FakeEngine(), ImageLoader(settings, client), settings, **fields)


def run_all(run: Preannotation) -> Summary:
    summary = Summary()
    run.run(1, summary.add)
    return summary


def test_every_task_gets_one_prediction_of_this_version(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks(*[{"image": make_data_uri()}] * 11)
    summary = run_all(make_run(studio, tmp_path))
    assert summary.counts == {"done": 11, "empty": 0, "skipped": 0, "failed": 0}
    assert sorted(found["task"] for found in studio.predictions) == list(range(1, 12))
    labels = [region["value"]["brushlabels"] for region in studio.predictions[0]["result"]]
    assert labels == [["Dog"], ["Cat"]]
    assert {found["model_version"] for found in studio.predictions} == {VERSION}


def test_second_run_continues_where_a_killed_one_stopped(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks(*[{"image": make_data_uri()}] * 9)

    def stop_after_three(report: TaskReport) -> None:
        seen.append(report.task_id)
        if len(seen) == 3:
            raise KeyboardInterrupt

    seen: list[int] = []
    first = make_run(studio, tmp_path, batch_size=1)
    with pytest.raises(KeyboardInterrupt):
        first.run(1, stop_after_three)
    stored = len(studio.predictions)
    assert 3 <= stored < 9
    engine = FakeEngine()
    summary = run_all(make_run(studio, tmp_path, engine))
    assert summary.counts == {"done": 9 - stored, "empty": 0, "skipped": stored, "failed": 0}
    assert len(engine.calls) == 9 - stored
    assert sorted(found["task"] for found in studio.predictions) == list(range(1, 10))


def test_prediction_of_another_version_does_not_count_as_done(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()})
    studio.predictions.append({"id": 1, "task": 1, "model_version": VERSION + "1", "result": []})
    assert run_all(make_run(studio, tmp_path)).counts["done"] == 1
    assert studio.versions_of(1) == [VERSION + "1", VERSION]


def test_failed_task_is_reported_and_the_others_are_done(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()}, {"image": "/etc/passwd"}, {"picture": "x"}, {"image": make_data_uri()})
    summary = run_all(make_run(studio, tmp_path))
    assert summary.counts == {"done": 2, "empty": 0, "skipped": 0, "failed": 2}
    assert sorted(chain.from_iterable(summary.tasks_by_reason.values())) == [2, 3]
    assert any("no field 'image'" in reason for reason in summary.tasks_by_reason)


def test_task_where_nothing_is_found_is_stored_as_done(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()})
    nothing = FakeEngine(instances={"Dog": 0, "Cat": 0, "dog": 0, "cat": 0})
    assert run_all(make_run(studio, tmp_path, nothing)).counts["empty"] == 1
    assert run_all(make_run(studio, tmp_path, nothing)).counts["skipped"] == 1
    assert studio.predictions[0]["result"] == []


def test_redo_replaces_the_prediction_of_this_version_only(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()})
    studio.predictions.append({"id": 1, "task": 1, "model_version": "older", "result": []})
    run_all(make_run(studio, tmp_path))
    run_all(make_run(studio, tmp_path, redo=True))
    assert studio.versions_of(1) == ["older", VERSION]
    assert studio.predictions[-1]["id"] == 3


def test_prompt_is_asked_besides_labels_and_prompts_of_the_task(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri(), "prompt": "left dog"})
    engine = FakeEngine()
    run_all(make_run(studio, tmp_path, engine, prompt="sleeping cat"))
    asked = {phrase.lower() for _, phrases in engine.calls for phrase in phrases}
    assert {"left dog", "sleeping cat", "dog", "cat"} <= asked


def test_limit_counts_predicted_tasks_only(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks(*[{"image": make_data_uri()}] * 6)
    for _ in range(2):
        assert run_all(make_run(studio, tmp_path, limit=2)).counts["done"] == 2
    assert sorted(found["task"] for found in studio.predictions) == [1, 2, 3, 4]


@pytest.mark.parametrize("failures", [[503], [500, 502], [429], ["lose the answer"]], ids=str)
def test_temporary_failure_is_tried_again_without_storing_twice(studio: FakeStudio, tmp_path: Path, failures: list[int | str]) -> None:
    studio.add_tasks({"image": make_data_uri()})
    studio.failures = failures
    assert run_all(make_run(studio, tmp_path)).counts["done"] == 1
    assert studio.versions_of(1) == [VERSION]


def test_page_of_tasks_that_fails_temporarily_is_asked_for_again(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()})
    pages, listing = [], studio.server.routes["/api/tasks"]

    def fail_first(request: Request) -> Reply:
        pages.append(request.path)
        return Reply(502) if len(pages) == 1 else listing(request)  # type: ignore[operator]

    studio.server.routes["/api/tasks"] = fail_first
    assert run_all(make_run(studio, tmp_path)).counts["done"] == 1


def test_refused_prediction_fails_its_task_only(studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()}, {"image": make_data_uri()})
    studio.failures = [400]
    summary = run_all(make_run(studio, tmp_path, workers=1, batch_size=1))
    assert (summary.counts["failed"], summary.counts["done"]) == (1, 1)
    assert "answered 400" in next(iter(summary.tasks_by_reason))


@pytest.mark.parametrize("status", [401, 503])
def test_refusal_that_concerns_every_task_ends_the_run(studio: FakeStudio, tmp_path: Path, status: int) -> None:
    studio.add_tasks(*[{"image": make_data_uri()}] * 50)
    studio.failures = [status] * 500
    engine = FakeEngine()
    with pytest.raises(LabelStudioError, match=f"answered {status}"):
        run_all(make_run(studio, tmp_path, engine, batch_size=1))
    assert len(engine.calls) < 10


def test_prediction_without_task_cannot_be_stored(studio: FakeStudio) -> None:
    store = PredictionStore(LabelStudioClient(studio.server.url, None), replace=False)
    with pytest.raises(ValueError, match="task with an id"):
        store.store(TaskPrediction(None, Outcome.DONE, (), 0.0, VERSION))
