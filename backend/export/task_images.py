"""The images of a task: their ids, what their files are called, and which of them a region lies on."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backend.errors import ImageUnavailable
from backend.export.label_scheme import IMAGES_PER_TASK, LabelScheme
from backend.tasks import Task, image_refs

_UNSAFE = re.compile(r"[^\w.@+=-]+")
_LONGEST_NAME = 150
_SUFFIX_OF_TYPE = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif", "image/bmp": ".bmp"}


@dataclass(frozen=True, slots=True)
class TaskImage:
    """One image of a task.

    Args:
        id: unique in the project: the task's id where a task has one image.
        name: of the ``<Image>`` tag that shows it.
        uri: what the task's data holds.
        item_index: its place in the tag's list.
    """

    id: int
    name: str
    uri: str
    item_index: int | None


def task_images(task: Task, scheme: LabelScheme) -> tuple[list[TaskImage], list[str]]:
    """The images of a task, in config order, and why others are missing."""
    images: list[TaskImage] = []
    problems: list[str] = []
    for tag in scheme.images:
        try:
            refs = image_refs(task, tag)
        except ImageUnavailable as error:
            problems.append(str(error))
            continue
        for ref in refs:
            if len(images) == IMAGES_PER_TASK:
                problems.append(f"the task has more than {IMAGES_PER_TASK} images; import the others as tasks of their own")
                return images, problems
            number = task["id"] * IMAGES_PER_TASK + len(images) if scheme.has_many_images else task["id"]
            images.append(TaskImage(number, tag.name, ref.uri, ref.item_index))
    return images, problems


def image_of(entry: Mapping[str, Any], images: list[TaskImage]) -> TaskImage | None:
    """The image that a region lies on; ``None`` when the task has no such image."""
    named = [image for image in images if image.name == entry.get("to_name")]
    if not named:
        return images[0] if len(images) == 1 and entry.get("to_name") is None else None
    if named[0].item_index is None:
        return named[0]
    wanted = entry.get("item_index") or 0
    return next((image for image in named if image.item_index == wanted), None)


def left_name(image: TaskImage) -> str:
    """``file_name`` of an image that stays where it is: its path without host, query and what could lead out of a folder.

    ``/data/upload/3/a.png`` is ``upload/3/a.png``, ``/data/local-files/?d=x/a.png`` is ``x/a.png``, ``https://host/x/a.png`` is
    ``x/a.png``.
    """
    if _scheme(image.uri) == "data":
        return own_name(image)
    try:
        parts = urlsplit(image.uri)
    except ValueError:
        return own_name(image)
    local = parse_qs(parts.query).get("d", []) if parts.path.rstrip("/").endswith("/data/local-files") else []
    path = local[0] if local else unquote(parts.path)
    if not local and "/data/upload/" in path:
        path = "upload/" + path.partition("/data/upload/")[2]
    steps = [step for step in path.replace("\\", "/").split("/") if step not in ("", ".", "..")]
    return "/".join("".join(c for c in step if c.isprintable()) for step in steps) or own_name(image)


def own_name(image: TaskImage) -> str:
    """A name that no other image of the project has, for a file that is copied: its id and the end of its path."""
    if _scheme(image.uri) == "data":
        media = image.uri[5:].partition(",")[0].partition(";")[0].strip().lower()
        return f"{image.id}{_SUFFIX_OF_TYPE.get(media, '')}"
    try:
        parts = urlsplit(image.uri)
        local = parse_qs(parts.query).get("d", []) if "/local-files" in parts.path else []
        path = local[0] if local else unquote(parts.path)
    except ValueError:
        path = ""
    base = _UNSAFE.sub("_", posixpath.basename(path.replace("\\", "/")))[-_LONGEST_NAME:].lstrip(".")
    return f"{image.id}-{base}" if base else str(image.id)


def shown_uri(uri: str) -> str | None:
    """The address as it may stand in an export: not that of a data URI, and without a query, which may hold a signature."""
    if _scheme(uri) == "data":
        return None
    if "/local-files/" in uri:
        return uri
    return uri.partition("?")[0]


def _scheme(uri: str) -> str:
    return uri.strip()[:20].partition(":")[0].lower()
