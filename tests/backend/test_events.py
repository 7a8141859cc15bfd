"""The journal of webhook events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend import events
from backend.errors import BadRequest
from backend.events import append_event, parse_event

PAYLOADS = Path(__file__).parents[1] / "data" / "label_studio_payloads"


def recorded_events() -> list[Any]:
    return [
        pytest.param(request["json"], id=path.stem)
        for path in sorted(PAYLOADS.glob("*.json"))
        for request in json.loads(path.read_text(encoding="utf-8"))["requests"]
        if request["path"] == "/webhook"
    ]


@pytest.mark.parametrize("body", recorded_events())
def test_every_recorded_event_is_written_without_token_or_masks(tmp_path: Path, body: dict[str, Any]) -> None:
    journal = tmp_path / "state" / "events.jsonl"
    append_event(journal, parse_event(body))
    text = journal.read_text(encoding="utf-8")
    record = json.loads(text)
    assert record["action"] == body["action"]
    assert record["project"] == body["project"]["id"]
    assert "TOKEN" not in text
    assert len(text) < 400


def test_deleted_annotations_are_named_by_id() -> None:
    event = parse_event({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}, {"id": 2}], "project": {"id": 3}})
    assert (event.annotations, event.project) == ((1, 2), 3)


@pytest.mark.parametrize("action", [None, "", 5, "x" * 101, ["START_TRAINING"]])
def test_an_event_without_a_usable_action_is_refused(action: Any) -> None:
    with pytest.raises(BadRequest, match="action"):
        parse_event({"action": action})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"annotation": "x", "task": 5, "project": None}, id="wrong types"),
        pytest.param({"annotations": {"id": 1}, "tasks": "no"}, id="lists that are none"),
        pytest.param({"annotation": {"id": True, "updated_at": 5}}, id="ids and times that are none"),
    ],
)
def test_an_event_of_odd_form_is_still_an_event(body: dict[str, Any]) -> None:
    assert parse_event({"action": "ANNOTATION_CREATED", **body}).annotations == ()


def test_a_line_stays_short_whatever_the_event_holds() -> None:
    event = parse_event({"action": "X", "annotation": {"id": 10**4000, "updated_at": "x" * 10**6}, "tasks": [-1, 2**63, 2**63 - 1]})
    assert (event.annotations, event.tasks, len(event.updated_at or "")) == ((), (2**63 - 1,), 100)


def test_a_large_journal_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_JOURNAL_BYTES", 10)
    journal = tmp_path / "events.jsonl"
    for action in ("FIRST", "SECOND"):
        append_event(journal, parse_event({"action": action}))
    assert "FIRST" in (tmp_path / "events.jsonl.1").read_text(encoding="utf-8")
    assert "SECOND" in journal.read_text(encoding="utf-8")
