"""Webhook bodies become events: ids and times, nothing secret, whatever was sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from backend.errors import BadRequest
from backend.events import parse_event

PAYLOADS = Path(__file__).parents[1] / "data" / "label_studio_payloads"


def recorded_body(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["requests"][0]["json"]


def recorded_events() -> list[Any]:
    return [
        pytest.param(request["json"], id=path.stem)
        for path in sorted(PAYLOADS.glob("*.json"))
        for request in json.loads(path.read_text(encoding="utf-8"))["requests"]
        if request["path"] == "/webhook"
    ]


@pytest.mark.parametrize("body", recorded_events())
def test_every_recorded_event_is_read_without_token_or_masks(body: dict[str, Any]) -> None:
    event = parse_event(body)
    assert (event.action, event.project) == (body["action"], body["project"]["id"])
    text = json.dumps(asdict(event))
    assert "TOKEN" not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("name", "annotations", "tasks", "corrections"),
    [
        ("webhook_annotation_created", (1,), (1,), 1),
        ("webhook_annotation_created_from_ui", (15,), (14,), 1),
        ("webhook_annotation_updated", (1,), (1,), 1),
        ("webhook_annotation_skipped", (2,), (1,), 0),
        ("webhook_tasks_imported_with_annotations", (), (4,), 0),
        ("webhook_project_updated", (), (), 0),
        ("start_training", (), (), 0),
    ],
)
def test_a_recorded_event_names_what_it_is_about(name: str, annotations: Any, tasks: Any, corrections: int) -> None:
    event = parse_event(recorded_body(name))
    assert (event.annotations, event.tasks, event.corrections) == (annotations, tasks, corrections)


def test_deleted_annotations_are_named_by_id() -> None:
    event = parse_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}, {"id": 2}], "project": {"id": 3}})
    assert (event.annotations, event.project, event.corrections) == ((1, 2), 3, 0)


def test_annotations_created_together_are_as_many_corrections() -> None:
    annotations = [{"id": 1, "task": 4}, {"id": 2, "task": 5}, {"id": 3, "task": 5, "was_cancelled": True}]
    event = parse_event({"action": "ANNOTATIONS_CREATED", "annotations": annotations, "project": {"id": 3}})
    assert (event.tasks, event.corrections) == ((4, 5), 2)


@pytest.mark.parametrize("action", [None, "", 5, "x" * 101, ["START_TRAINING"]])
def test_an_event_without_a_usable_action_is_refused(action: Any) -> None:
    with pytest.raises(BadRequest, match="action"):
        parse_event({"action": action})


def test_training_without_a_project_is_refused() -> None:
    with pytest.raises(BadRequest, match="needs the project"):
        parse_event({"action": "START_TRAINING"})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"annotation": "x", "task": 5, "project": None}, id="wrong types"),
        pytest.param({"annotations": {"id": 1}, "tasks": "no"}, id="lists that are none"),
        pytest.param({"annotation": {"id": True, "updated_at": 5}}, id="ids and times that are none"),
    ],
)
def test_an_event_of_odd_form_is_still_an_event(body: dict[str, Any]) -> None:
    event = parse_event({"action": "ANNOTATION_CREATED", **body})
    assert (event.annotations, event.corrections) == ((), 0)


def test_an_event_stays_small_whatever_was_sent() -> None:
    event = parse_event({"action": "X", "annotation": {"id": 10**4000, "updated_at": "x" * 10**6}, "tasks": [-1, 2**63, 2**63 - 1]})
    assert (event.annotations, event.tasks, len(event.updated_at or "")) == ((), (2**63 - 1,), 100)
