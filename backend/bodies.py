"""Reading the bodies that Label Studio posts: what must be there, of which type, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.exceptions import HTTPException

from backend.errors import BadRequest
from backend.tasks import Task


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
        BadRequest: it is not.
    """
    try:
        body = request.get_json(force=True, cache=False)
    except HTTPException as error:
        if error.code == 413:
            raise
        raise BadRequest("the body is not valid JSON; expected a JSON object as Label Studio sends it") from error
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
    return PredictRequest(tuple(tasks), label_config, _project(body, tasks), gestures)


def _gestures(body: Mapping[str, Any]) -> tuple[Any, ...] | None:
    params = _optional_object(body, "params")
    context = _optional_object(params, "context")
    result = context.get("result")
    if result is None:
        return None
    if not isinstance(result, list):
        raise BadRequest(f"'params.context.result' must be a list of regions, found {_type_name(result)}")
    return tuple(result) or None


def _project(body: Mapping[str, Any], tasks: list[Any]) -> str:
    project = body.get("project")
    if project is None and tasks:
        project = tasks[0].get("project")
    return str(project)[:100] if isinstance(project, str | int) else ""


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
