"""Tasks of one project in Label Studio: which there are and when each last changed, and those that are wanted with their annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import with_retries
from backend.tasks import Task

LISTED_AT_ONCE = 1000
"""Tasks per page of the list; only their ids and times are in it."""

BARE_AT_ONCE = 100

FETCHED_AT_ONCE = 10
"""Tasks per request with annotations: brush masks make each of them megabytes large."""

_FIELDS = (
    "id,data,updated_at,created_at,annotations,result,was_cancelled,ground_truth,completed_by"  # `include` counts inside annotations, too
)


@dataclass(frozen=True, slots=True)
class Change:
    """A task, when it last changed, and whether it has an annotation that counts (skipped ones do not)."""

    task: int
    updated_at: str
    is_annotated: bool


@dataclass(frozen=True, slots=True)
class Predicted:
    """A task that holds predictions: their mean score (``None``: none of the version that Label Studio goes by) and their versions."""

    task: int
    score: float | None
    versions: tuple[str, ...]


class ProjectSource:
    """The tasks of a project.

    Args:
        client: Label Studio.
        project_id: the project.
        pauses: seconds between attempts while Label Studio does not answer or fails.
    """

    def __init__(self, client: LabelStudioClient, project_id: int, pauses: Sequence[float] = ()) -> None:
        self._client = client
        self._project_id = project_id
        self._pauses = pauses

    def project(self) -> dict[str, Any]:
        """The project itself."""
        return with_retries(partial(self._client.project, self._project_id), self._pauses)

    def changes(self) -> Iterator[Change]:
        """Every task, by id. Submitting, changing or deleting an annotation changes its task.

        Asks for tasks behind the last one seen instead of for page numbers: what is deleted meanwhile shifts nothing.
        """
        for task in self._all("id,updated_at,total_annotations"):
            yield Change(task["id"], task["updated_at"], bool(task["total_annotations"]))

    def predicted(self) -> Iterator[Predicted]:
        """Every task, by id, that holds predictions and waits for its annotation."""
        for task in self._all("id,total_annotations,predictions_score,predictions_model_versions"):
            versions = tuple(name for name in str(task.get("predictions_model_versions") or "").split(",") if name)
            if versions and not task["total_annotations"]:
                yield Predicted(task["id"], task.get("predictions_score"), versions)

    def bare_tasks(self, ids: Sequence[int]) -> Iterator[Task]:
        """Tasks without annotations and predictions, in the order of ``ids``; those that do not exist any more are left out."""
        for start in range(0, len(ids), BARE_AT_ONCE):
            wanted = list(ids[start : start + BARE_AT_ONCE])
            found = self._list({"filters": _only("in_list", wanted)}, "id,data,predictions_model_versions", BARE_AT_ONCE)
            by_id = {task["id"]: task for task in found}
            yield from (by_id[number] for number in wanted if number in by_id)

    def tasks(self, ids: Sequence[int]) -> Iterator[list[Task]]:
        """Tasks with their annotations, some at a time; those that do not exist any more are left out."""
        for start in range(0, len(ids), FETCHED_AT_ONCE):
            wanted = list(ids[start : start + FETCHED_AT_ONCE])
            yield self._list({"filters": _only("in_list", wanted)}, _FIELDS, FETCHED_AT_ONCE)

    def _all(self, include: str) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            query = {"filters": _only("greater", last), "ordering": ["tasks:id"]}
            found = self._list(query, include, LISTED_AT_ONCE)
            yield from found
            if len(found) < LISTED_AT_ONCE:
                return
            last = found[-1]["id"]

    def _list(self, query: dict[str, Any], include: str, page_size: int) -> list[Any]:
        asked = {
            "project": self._project_id,
            "fields": "all",
            "include": include,
            "page_size": page_size,
            "resolve_uri": "false",
            "query": json.dumps(query),
        }
        return list(with_retries(partial(self._client.get, "/api/tasks", **asked), self._pauses)["tasks"])


def _only(operator: str, value: Any) -> dict[str, Any]:
    return {"conjunction": "and", "items": [{"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": value}]}
