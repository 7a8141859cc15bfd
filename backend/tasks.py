"""Reading a task as Label Studio sends it: its id, where its images are, and the prompts that it brings itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import ImageUnavailable
from backend.label_config import ImageObject

Task = Mapping[str, Any]
"""One task, a JSON object with at least ``data``."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where one image of a task is; ``item_index`` is its place when the task holds a list of images."""

    uri: str
    item_index: int | None


def task_id(task: Task) -> int | None:
    """The task's id; some callers send tasks without one."""
    value = task.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def image_refs(task: Task, image: ImageObject) -> list[ImageRef]:
    """Where the images are that an ``<Image>`` tag shows for this task.

    Raises:
        ImageUnavailable: the field is missing, or is not text (a list of texts for ``valueList``).
    """
    data = task_data(task)
    value = data.get(image.data_key)
    if value is None:
        fields = ", ".join(sorted(map(str, data))[:10]) or "none"
        raise ImageUnavailable(
            f"the task has no field {image.data_key!r}, which <Image name={image.name!r}> shows (fields: {fields}); "
            "correct the task's data or the value of the Image tag"
        )
    if image.is_list:
        if isinstance(value, list) and all(isinstance(uri, str) for uri in value):
            return [ImageRef(uri, index) for index, uri in enumerate(value)]
        raise ImageUnavailable(f"field {image.data_key!r} must be a list of image addresses, found {type(value).__name__}")
    if not isinstance(value, str) or not value:
        raise ImageUnavailable(f"field {image.data_key!r} must be the address of an image, found {type(value).__name__}")
    return [ImageRef(value, None)]


def task_prompts(task: Task, field: str | None) -> list[str]:
    """Texts in ``field`` of the task: one text or a list of them; an absent or empty field asks for nothing."""
    value = task_data(task).get(field) if field else None
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]


def draft_regions(task: Task) -> list[Any]:
    """Regions of the task's drafts: what the annotator has not submitted yet, as far as Label Studio has saved it."""
    drafts = task.get("drafts")
    found = [draft.get("result") for draft in drafts if isinstance(draft, dict)] if isinstance(drafts, list) else []
    return [region for result in found if isinstance(result, list) for region in result]


def task_data(task: Task) -> Mapping[str, Any]:
    """The task's own fields; empty when it has none."""
    data = task.get("data")
    return data if isinstance(data, dict) else {}
