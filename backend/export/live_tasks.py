"""The tasks of a live project into a file: page by page, and after a failure on from the last task that arrived.

Pages begin behind the id of the last task, so tasks that come or go meanwhile move none across the border of two pages. The export itself
then reads the file: Label Studio is asked for each mask once, however often the export is repeated or however long it takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from backend.errors import LabelStudioError
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS, with_retries

PAGE_SIZE = 20
"""Tasks per request: with many large masks a task has megabytes."""

_FIELDS = ("id", "data", "annotations", "predictions", "drafts")
_INNER_FIELDS = ("result", "was_cancelled", "ground_truth", "completed_by", "created_at", "updated_at", "model_version", "score")
"""Of annotations and predictions; Label Studio filters these by the same list, and sends every result twice where it is not told."""


def tasks_file(out: Path, client: LabelStudioClient, project_id: int) -> Path:
    """Where the tasks of a project wait while its export to ``out`` is made; another project or server has another file."""
    server = sha256(client.url.encode()).hexdigest()[:8]
    return out.parent / f".{out.name}.project-{project_id}-{server}.jsonl"


def fetch_tasks(
    client: LabelStudioClient,
    project_id: int,
    path: Path,
    on_task: Callable[[], None] = lambda: None,
    *,
    pauses: Sequence[float] = RETRY_SECONDS,
    max_bytes: int | None = None,
) -> None:
    """Append every task that ``path`` does not hold yet, one JSON object per line, by rising id.

    Args:
        client: Label Studio.
        project_id: whose tasks.
        path: the file; it may end in the middle of a line, as after a kill.
        on_task: told of every task, those that were there already too.
        pauses: seconds before each new attempt at a page that fails temporarily.
        max_bytes: most bytes to write.

    Raises:
        LabelStudioError: Label Studio stays unreachable or refuses; the file holds what arrived, and the next call goes on there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    last, number = _cut_to_last_task(path)
    for _ in range(number):
        on_task()
    with path.open("ab") as file:
        while page := with_retries(partial(_page, client, project_id, last), pauses):
            for task in page:
                file.write(json.dumps({key: task[key] for key in _FIELDS if key in task}).encode() + b"\n")
                last = task["id"]
                on_task()
            file.flush()
            if max_bytes is not None and file.tell() > max_bytes:
                raise LabelStudioError(f"the tasks of the project have more than {max_bytes >> 20} MiB; export it with the command line")


def _page(client: LabelStudioClient, project_id: int, last: int) -> list[dict[str, Any]]:
    behind = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last}
    query = {"filters": {"conjunction": "and", "items": [behind]}, "ordering": ["tasks:id"]}
    wanted = {"fields": "all", "include": ",".join(_FIELDS + _INNER_FIELDS), "query": json.dumps(query)}
    found = client.get("/api/tasks", project=project_id, page=1, page_size=PAGE_SIZE, **wanted)
    tasks = found.get("tasks") if isinstance(found, dict) else None
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and type(task.get("id")) is int and task["id"] > last for task in tasks
    ):
        raise LabelStudioError(f"{client.url}/api/tasks did not answer with tasks behind {last}; is it Label Studio 1.20 or later?")
    return tasks


def _cut_to_last_task(path: Path) -> tuple[int, int]:
    """Remove half a line at the end of the file; returns the id of the last task and how many there are."""
    if not path.exists():
        return 0, 0
    last, number, end = 0, 0, 0
    with path.open("rb") as file:
        for line in file:
            head = line[: line.find(b",")].partition(b":")
            if not line.endswith(b"\n") or head[0] != b'{"id"':
                break
            last, number, end = int(head[2]), number + 1, end + len(line)
    with path.open("r+b") as file:
        file.truncate(end)
    return last, number
