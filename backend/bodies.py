"""Reading the bodies that Label Studio posts: what must be there, of which type, in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request

from backend.errors import BadRequest
from backend.tasks import Task

MOST_GESTURES = 200
"""Entries of a context's ``result``; a person clicks a few times, and each of them costs time of the engine."""


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Body of ``POST /predict``.

    Args:
        tasks: the tasks, in order.
        label_config: the project's XML.
        project: Label Studio's ``ID.EPOCH``; empty when the caller gave none.
        gestures: ``params.context.result`` of an interactive request; ``None`` for a batch.
    """

    tasks: tuple[Task, ...]
    label_config: str
    project: str
    gestures: tuple[Any, ...] | None


def read_json_object(request: Request) -> Mapping[str, Any]:
    """The body of a request, which must be a JSON object.

    Raises:
        BadRequest: it is not, or does not say that it is JSON. That keeps web pages from posting here in the name of whoever reads
            them: browsers let a page send other types to any address, but ask first before they send JSON.
    """
    if not request.is_json:
        raise BadRequest(f"the body has Content-Type {request.mimetype[:60]!r}; send it as application/json, as Label Studio does")
    try:
        text = request.get_data(cache=False).decode()
        body = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # perhaps half of a surrogate pair, which nothing after this could encode
            body = json.loads(json.dumps(body, ensure_ascii=False).encode(errors="replace"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadRequest("the body is not valid JSON in UTF-8; expected a JSON object as Label Studio sends it") from error
    except (RecursionError, ValueError) as error:
        raise BadRequest("the body is JSON that is nested too deeply or has a number too long to read") from error
    if not isinstance(body, dict):
        raise BadRequest(f"the body must be a JSON object, found {_type_name(body)}")
    return body


def parse_predict_request(body: Mapping[str, Any]) -> PredictRequest:
    """Check the body of ``POST /predict``.

    Raises:
        BadRequest: a field is missing or has the wrong type.
    """
    tasks = body.get("tasks")
    if not isinstance(tasks, list):
        raise BadRequest(f"'tasks' must be a list of tasks, found {_type_name(tasks)}")
    for place, task in enumerate(tasks):
        if not isinstance(task, dict):
            raise BadRequest(f"'tasks' must hold JSON objects, found {_type_name(task)} at place {place}")
    label_config = body.get("label_config")
    if not isinstance(label_config, str):
        raise BadRequest(f"'label_config' must be the XML of the labeling config, found {_type_name(label_config)}")
    gestures = _gestures(body)
    if gestures is not None and len(tasks) != 1:
        raise BadRequest(f"an interactive request is about exactly one task, found {len(tasks)}")
    return PredictRequest(tuple(tasks), label_config, project_of(body, tasks), gestures)


def project_of(body: Mapping[str, Any], tasks: Sequence[Any] = ()) -> str:
    """Label Studio's ``ID.EPOCH`` in a body, else the number that the first of ``tasks`` names; empty when there is neither."""
    project = body.get("project")
    if project is None and tasks:
        project = tasks[0].get("project")
    return str(project)[:100] if isinstance(project, str | int) else ""


def _gestures(body: Mapping[str, Any]) -> tuple[Any, ...] | None:
    params = _optional_object(body, "params")
    context = _optional_object(params, "context")
    result = context.get("result")
    if result is None:
        return None
    if not isinstance(result, list):
        raise BadRequest(f"'params.context.result' must be a list of regions, found {_type_name(result)}")
    if len(result) > MOST_GESTURES:
        raise BadRequest(f"'params.context.result' holds {len(result)} regions, at most {MOST_GESTURES} are read; send the newest ones")
    return tuple(result) or None


def _optional_object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{key!r} must be a JSON object or null, found {_type_name(value)}")
    return value


def _type_name(value: Any) -> str:
    names = {type(None): "nothing", bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names[type(value)]
