"""A tab of Label Studio's Data Manager that shows some tasks of a project first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.label_studio import LabelStudioClient

TITLE = "Wordmask: annotate next"

_HIDDEN = (
    "inner_id", "annotations_results", "annotations_ids", "predictions_results", "predictions_model_versions", "file_upload",
    "storage_filename", "created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists", "cancelled_annotations", "annotators",
)  # fmt: skip
"""Columns that are left out, so that image and score can be seen side by side."""


def show_first(client: LabelStudioClient, project_id: int, tasks: Sequence[int]) -> str:
    """Make a tab with these tasks the first one, the most doubtful on top; one of an earlier choice gives way.

    "Label Tasks As Displayed" in that tab hands them out in that order. Predictions are left as they are.

    Args:
        client: Label Studio.
        project_id: the project.
        tasks: their ids, at least one.

    Returns:
        Address of the tab.

    Raises:
        LabelStudioError: Label Studio refuses or does not answer.
    """
    views = list(client.get("/api/dm/views/", project=project_id))
    if not views:  # nobody has opened the project yet; with a tab of ours in it, Label Studio would not add its own
        views = [client.post("/api/dm/views/", {"project": project_id, "data": {"title": "Default"}}, project=project_id)]
    ours = next((view for view in views if view["data"].get("title") == TITLE), None)
    body: dict[str, Any] = {"project": project_id, "data": _tab(tasks)}
    if ours is None:
        ours = client.post("/api/dm/views/", body, project=project_id)
    else:
        client.patch(f"/api/dm/views/{ours['id']}/", body)
    order = [ours["id"], *(view["id"] for view in views if view["id"] != ours["id"])]
    client.post("/api/dm/views/order/", {"project": project_id, "ids": order})
    return f"{client.url}/projects/{project_id}/data?tab={ours['id']}"


def _tab(tasks: Sequence[int]) -> dict[str, Any]:
    """One condition per task: Label Studio's page can show, and people can change, what its own filters can say."""
    items = [{"filter": "filter:tasks:id", "operator": "equal", "type": "Number", "value": task} for task in tasks]
    return {
        "title": TITLE,
        "type": "list",
        "target": "tasks",
        "ordering": ["tasks:predictions_score"],
        "hiddenColumns": {"explore": [f"tasks:{column}" for column in _HIDDEN], "labeling": []},
        "filters": {"conjunction": "or", "items": items},
    }
