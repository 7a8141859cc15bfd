"""The few calls of Label Studio's HTTP API that the demo and the end-to-end tests make, as an annotator's browser would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

TIMEOUT_SECONDS = 150
"""Longer than the 100 s that Label Studio itself waits for a backend."""


class LabelStudioApiError(RuntimeError):
    """Label Studio refused a call; the message holds its answer."""


class LabelStudioApi:
    """Label Studio through its API, as the user whose legacy token is given."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Token {token}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request and return the JSON of the answer (``None`` when the answer is empty).

        Raises:
            LabelStudioApiError: the answer is not 2xx.
        """
        response = self._session.request(method, f"{self.url}{path}", timeout=TIMEOUT_SECONDS, **arguments)
        if not response.ok:
            raise LabelStudioApiError(f"{method} {path} gave {response.status_code}: {response.text[:500]}")
        return response.json() if response.content else None

    def create_project(self, title: str, label_config: str, **fields: Any) -> int:
        """Create a project and return its id."""
        return int(self.call("POST", "/api/projects", json={"title": title, "label_config": label_config, **fields})["id"])

    def upload_images(self, project: int, images: Sequence[Path]) -> list[dict[str, Any]]:
        """Upload image files, one task each, and return the tasks in the order of ``images``."""
        return [self._upload_image(project, image) for image in images]

    def _upload_image(self, project: int, image: Path) -> dict[str, Any]:
        with image.open("rb") as file:
            answer = self.call("POST", f"/api/projects/{project}/import?return_task_ids=1", files={"file": (image.name, file)})
        return self.task(answer["task_ids"][0])

    def task(self, task: int) -> dict[str, Any]:
        """The task with its annotations and predictions."""
        return dict(self.call("GET", f"/api/tasks/{task}"))

    def set_task_data(self, task: int, data: dict[str, Any]) -> None:
        """Replace the data of a task."""
        self.call("PATCH", f"/api/tasks/{task}", json={"data": data})

    def connect_backend(self, project: int, url: str, *, title: str = "Wordmask", **fields: Any) -> int:
        """Connect an ML backend with interactive pre-annotation switched on; return its id in Label Studio."""
        body = {"project": project, "url": url, "title": title, "is_interactive": True, **fields}
        return int(self.call("POST", "/api/ml", json=body)["id"])

    def retrieve_predictions(self, project: int, tasks: Sequence[int] | None = None) -> None:
        """Do what "Retrieve Predictions" in the Data Manager does, for ``tasks`` or for all."""
        selected = {"all": True, "excluded": []} if tasks is None else {"all": False, "included": list(tasks)}
        path = f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}"
        self.call("POST", path, json={"selectedItems": selected, "project": str(project)})

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """Stored predictions of a task, oldest first."""
        return sorted(self.call("GET", f"/api/predictions?task={task}"), key=lambda prediction: int(prediction["id"]))

    def annotations(self, task: int) -> list[dict[str, Any]]:
        """Submitted annotations of a task."""
        return list(self.call("GET", f"/api/tasks/{task}/annotations/"))

    def interactive(self, backend: int, task: int, result: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Send a gesture as the editor does with Auto-Annotation on; the answer holds ``data`` or ``errors``."""
        path = f"/api/ml/{backend}/interactive-annotating"
        return dict(self.call("POST", path, json={"task": task, "context": {"result": list(result)}}))
