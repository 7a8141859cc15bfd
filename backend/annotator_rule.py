"""Whose work counts when a task has several annotations or predictions: one rule for exports and for training.

Of annotations: the ground truth, else the newest. Of predictions: the newest. Skipped (cancelled) annotations and drafts never count.
Whatever is passed over is told, so that a missing mask is explained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backend.findings import Finding, Severity, place
from backend.tasks import Task, task_id

Source = Literal["annotations", "predictions", "both"]
"""``both``: the annotation that counts and beside it the prediction that counts; each mask says which of them it is from."""

_Kind = Literal["annotation", "prediction"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """An annotation or a prediction that counts.

    Args:
        kind: which of the two it is.
        id: its id in Label Studio, where it has one.
        result: its regions and other entries, as Label Studio stores them.
        annotator: id of the user who made it; never a name or an address.
        is_ground_truth: marked so by a reviewer.
        model_version: of a prediction.
        score: of a whole prediction.
    """

    kind: _Kind
    id: int | None
    result: tuple[Any, ...]
    annotator: int | None = None
    is_ground_truth: bool = False
    model_version: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What counts for one task (nothing: nobody has looked at it), and what was passed over."""

    chosen: tuple[Chosen, ...]
    findings: tuple[Finding, ...]


def chosen_annotations(task: Task, source: Source, *, model_version: str | None = None) -> Choice:
    """Apply the rule to one task.

    Args:
        task: with its ``annotations`` and ``predictions``.
        source: which of them are wanted.
        model_version: only predictions of this version count.

    Returns:
        What counts, annotation before prediction. A chosen one without regions says that there is nothing on the image.
    """
    chosen: list[Chosen] = []
    findings: list[Finding] = []
    if source in ("annotations", "both"):
        _choose(_annotations(task, findings), "annotation", task, chosen, findings)
    if source in ("predictions", "both"):
        _choose(_predictions(task, model_version, findings), "prediction", task, chosen, findings)
    return Choice(tuple(chosen), tuple(findings))


def _annotations(task: Task, findings: list[Finding]) -> list[Mapping[str, Any]]:
    """Those that were submitted, the best one last."""
    drafts = _objects(task, "drafts", findings)
    findings += [_note(task, "draft", place(draft=draft.get("id")), "a draft, which nobody has submitted", "left out") for draft in drafts]
    counting = []
    for annotation in _objects(task, "annotations", findings):
        if annotation.get("was_cancelled"):
            where = place(annotation=annotation.get("id"))
            findings.append(_note(task, "cancelled", where, "the annotator skipped the task", "the annotation is left out"))
        elif _is_listed(annotation, "annotation", task, findings):
            counting.append(annotation)
    return sorted(counting, key=lambda found: (bool(found.get("ground_truth")), *_age(found)))


def _predictions(task: Task, model_version: str | None, findings: list[Finding]) -> list[Mapping[str, Any]]:
    """Those of the wanted version, the newest last."""
    counting = []
    for prediction in _objects(task, "predictions", findings):
        if model_version is not None and prediction.get("model_version") != model_version:
            where, version = place(prediction=prediction.get("id")), prediction.get("model_version")
            findings.append(_note(task, "other-version", where, f"a prediction of version {version!r:.100}", "left out, as asked"))
        elif _is_listed(prediction, "prediction", task, findings):
            counting.append(prediction)
    return sorted(counting, key=_age)


def _choose(ranked: list[Mapping[str, Any]], kind: _Kind, task: Task, chosen: list[Chosen], findings: list[Finding]) -> None:
    if not ranked:
        return
    *others, best = ranked
    why = "is the ground truth" if kind == "annotation" and best.get("ground_truth") else "is newer"
    for other in others:
        where = place(**{kind: other.get("id")})
        findings.append(_note(task, f"other-{kind}", where, f"{kind} {best.get('id')!r:.40} of the same task {why}", "left out"))
    version = best.get("model_version")
    chosen.append(
        Chosen(
            kind,
            _number_or_none(best.get("id")),
            tuple(best["result"]),
            annotator=_user_id(best.get("completed_by")) if kind == "annotation" else None,
            is_ground_truth=kind == "annotation" and bool(best.get("ground_truth")),
            model_version=version if kind == "prediction" and isinstance(version, str) else None,
            score=finite(best.get("score")) if kind == "prediction" else None,
        )
    )


def _is_listed(found: Mapping[str, Any], kind: str, task: Task, findings: list[Finding]) -> bool:
    """Whether it has a list of regions; one that has none can neither be read nor taken for "nothing there"."""
    if isinstance(found.get("result"), list):
        return True
    what = f"result must be a list of regions, found {type(found.get('result')).__name__}"
    findings.append(_told("error", task, "no-result", place(**{kind: found.get("id")}), what, f"the {kind} is left out"))
    return False


def _objects(task: Task, key: str, findings: list[Finding]) -> list[Mapping[str, Any]]:
    """The objects in a list of the task; some exports hold bare ids there, which tell nothing."""
    found = task.get(key)
    if found is None:
        return []
    items = found if isinstance(found, list) else [found]
    objects = [item for item in items if isinstance(item, Mapping)]
    if len(objects) < len(items):
        what = f"{key} must be a list of objects, found {type(found).__name__} with {len(items) - len(objects)} others"
        findings.append(_told("error", task, "no-objects", (), what, "those are left out; export the project as JSON again"))
    return objects


def _age(found: Mapping[str, Any]) -> tuple[str, int]:
    """Sorts the newest last: Label Studio's times are ISO 8601 in UTC, so their text sorts as they do."""
    changed = found.get("updated_at") or found.get("created_at")
    return changed if isinstance(changed, str) else "", _number_or_none(found.get("id")) or -1


def _user_id(completed_by: Any) -> int | None:
    """Label Studio gives the user as an id or as an object, depending on the route."""
    return _number_or_none(completed_by.get("id") if isinstance(completed_by, Mapping) else completed_by)


def _number_or_none(value: Any) -> int | None:
    return value if type(value) is int else None


def finite(value: Any) -> float | None:
    """A score as a number that JSON can hold; ``None`` for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e300 and math.isfinite(value) else None


def _note(task: Task, kind: str, where: Any, what: str, action: str) -> Finding:
    return _told("note", task, kind, where, what, action)


def _told(severity: Severity, task: Task, kind: str, where: Any, what: str, action: str) -> Finding:
    return Finding(severity, kind, place(task=task_id(task)) + where, what, action)
