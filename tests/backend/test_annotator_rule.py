"""Which annotation or prediction of a task counts, and what is told of the others."""

from __future__ import annotations

from typing import Any

import pytest

from backend.annotator_rule import Source, chosen_annotations
from tests.factories import make_task


def annotation(number: int, day: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": number, "result": [], "updated_at": f"2026-11-{day:02d}T10:00:00.000000Z", "completed_by": 3, **fields}


def ids(task: dict[str, Any], source: Source = "annotations", **arguments: Any) -> list[tuple[str, int | None]]:
    return [(chosen.kind, chosen.id) for chosen in chosen_annotations(task, source, **arguments).chosen]


RANKINGS = [
    pytest.param([annotation(5, day=2), annotation(6, day=1)], 5, id="the newest"),
    pytest.param([annotation(5), annotation(6)], 6, id="of the same time the higher id"),
    pytest.param([annotation(5, ground_truth=True), annotation(6, day=9)], 5, id="ground truth before newer work"),
    pytest.param([annotation(5, ground_truth=True), annotation(6, day=9, ground_truth=True)], 6, id="the newest ground truth"),
    pytest.param([annotation(5), annotation(6, day=9, was_cancelled=True)], 5, id="never a skipped one"),
    pytest.param([annotation(5), annotation(6, updated_at=None, day=9)], 5, id="known times before unknown ones"),
]


@pytest.mark.parametrize(("annotations", "expected"), RANKINGS)
def test_one_annotation_counts_and_the_others_are_told(annotations: list[dict[str, Any]], expected: int) -> None:
    choice = chosen_annotations(make_task(7, annotations=annotations), "annotations")
    assert [chosen.id for chosen in choice.chosen] == [expected]
    assert [finding.severity for finding in choice.findings] == ["note"]
    assert f"task 7, annotation {11 - expected}" in str(choice.findings[0])


def test_nothing_counts_where_nobody_has_submitted_anything() -> None:
    task = make_task(annotations=[annotation(5, was_cancelled=True)], drafts=[{"id": 9, "result": [{}]}])
    choice = chosen_annotations(task, "annotations")
    assert choice.chosen == ()
    assert {finding.kind for finding in choice.findings} == {"cancelled", "draft"}


def test_an_annotation_without_regions_counts() -> None:
    assert ids(make_task(annotations=[annotation(5)])) == [("annotation", 5)]


def test_predictions_count_by_age_and_on_request_by_version() -> None:
    old, new = ({"id": n, "result": [], "model_version": f"v{n}", "created_at": f"2026-11-0{n}", "score": 0.5} for n in (1, 2))
    task = make_task(predictions=[new, old], annotations=[annotation(5)])
    assert ids(task, "predictions") == [("prediction", 2)]
    assert ids(task, "predictions", model_version="v1") == [("prediction", 1)]
    assert ids(task, "both") == [("annotation", 5), ("prediction", 2)]
    assert chosen_annotations(task, "predictions").chosen[0].score == 0.5


@pytest.mark.parametrize(
    "completed_by", [pytest.param(3, id="an id"), pytest.param({"id": 3, "email": "a@b.c", "first_name": "A"}, id="an object")]
)
def test_the_annotator_is_known_by_id_however_label_studio_tells_it(completed_by: Any) -> None:
    (chosen,) = chosen_annotations(make_task(annotations=[annotation(5, completed_by=completed_by)]), "annotations").chosen
    assert chosen.annotator == 3


MESSES = [
    pytest.param({"annotations": [5, 6]}, "no-objects", id="ids instead of annotations"),
    pytest.param({"annotations": "none"}, "no-objects", id="a text instead of a list"),
    pytest.param({"annotations": [{"id": 5}]}, "no-result", id="no result"),
    pytest.param({"annotations": [{"id": 5, "result": {}}]}, "no-result", id="an object as result"),
    pytest.param({"annotations": None, "drafts": [None]}, "no-objects", id="an empty draft"),
]


@pytest.mark.parametrize(("fields", "kind"), MESSES)
def test_what_cannot_be_read_is_an_error_with_the_task(fields: dict[str, Any], kind: str) -> None:
    choice = chosen_annotations(make_task(7, **fields), "annotations")
    assert choice.chosen == ()
    assert [(finding.severity, finding.kind, finding.where[0]) for finding in choice.findings] == [("error", kind, ("task", 7))]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 10**400, "0.5", True, None])
def test_a_score_that_json_cannot_hold_is_no_score(score: Any) -> None:
    task = make_task(predictions=[{"id": 1, "result": [], "score": score}])
    assert chosen_annotations(task, "predictions").chosen[0].score is None
