"""Tasks with predictions into a project, each once, also when answers get lost or the run is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backend.errors import LabelStudioError
from backend.findings import Finding, place
from backend.importing.task_content import KEY_FIELD
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS, LabelStudioRefused, with_retries
from backend.tasks import task_data

_SAME_FOR_ALL = (401, 403, 404, 429)
"""Refusals that have nothing to do with the tasks that were sent."""


class TaskStore:
    """The imported tasks of one project.

    Args:
        client: Label Studio.
        project: number of the project.
        tell: told of tasks that Label Studio refuses.
        pauses: seconds between attempts while Label Studio does not answer or fails.

    Raises:
        LabelStudioError: the tasks of the project cannot be listed.
    """

    def __init__(
        self, client: LabelStudioClient, project: int, tell: Callable[[Finding], None], pauses: Sequence[float] = RETRY_SECONDS
    ) -> None:
        self._client, self._project, self._tell, self._pauses = client, project, tell, pauses
        self.keys = self._listed_keys()
        """Keys of the tasks that are there already."""

    def create(self, tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Create tasks whose data hold a key; returns those that are there now.

        Raises:
            LabelStudioError: Label Studio stays unreachable, or refuses whatever is sent.
        """
        try:
            self._create(tasks)
        except LabelStudioRefused as error:
            if error.http_status >= 500 or error.http_status in _SAME_FOR_ALL:
                raise
            if len(tasks) > 1:  # one of them is to blame: it alone is left out
                return [created for task in tasks for created in self.create([task])]
            key = task_data(tasks[0])[KEY_FIELD]
            self._tell(Finding("error", "refused", place(image=key), str(error), "the task is left out"))
            return []
        self.keys.update(task_data(task)[KEY_FIELD] for task in tasks)
        return list(tasks)

    def _create(self, tasks: Sequence[dict[str, Any]]) -> None:
        tried = False

        def post_once() -> None:
            nonlocal tried
            # The attempt before may have arrived, with only its answer lost.
            arrived = self._listed_keys() if tried else set()
            tried = True
            missing = [task for task in tasks if task_data(task)[KEY_FIELD] not in arrived]
            if missing:
                self._post(missing)

        with_retries(post_once, self._pauses)

    def _post(self, tasks: list[dict[str, Any]]) -> None:
        answer = self._client.post(f"/api/projects/{self._project}/import", tasks)
        expected = {"task_count": len(tasks), "prediction_count": sum(len(task["predictions"]) for task in tasks)}
        found = {name: answer.get(name) for name in expected} if isinstance(answer, dict) else answer
        if found != expected:
            raise LabelStudioError(f"Label Studio imported {found}, expected {expected}; look at its newest tasks")

    def _listed_keys(self) -> set[str]:
        tasks = self._client.tasks(self._project, page_size=1000, pauses=self._pauses)
        return {key for task in tasks if isinstance(key := task_data(task).get(KEY_FIELD), str)}
