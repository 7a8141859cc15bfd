"""The part of Label Studio's API that reads tasks with their annotations, over real HTTP, with a project that a test changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backend.brush_rle import encode
from tests.factories import make_data_uri, make_image, make_mask
from tests.local_http import LocalServer, Reply, Request, local_server

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="mask" toName="image"><Label value="Dog"/><Label value="Cat"/><Label value="Free" prompt=""/></BrushLabels>
<RectangleLabels name="box" toName="image"><Label value="Dog"/><Label value="Cat"/></RectangleLabels>
<PolygonLabels name="poly" toName="image"><Label value="Dog"/></PolygonLabels>
<TextArea name="prompt" toName="image"/></View>"""


class Studio:
    """A Label Studio with project 1."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.url = server.url
        self.project: dict[str, Any] = {"id": 1, "title": "Masks", "created_at": "2026-11-21T00:00:00Z", "label_config": CONFIG}
        self.tasks: dict[int, dict[str, Any]] = {}
        self.fetched: list[list[int]] = []
        self.failures: list[int] = []
        self.predictions: list[dict[str, Any]] = []
        self._ticks = 0
        self._next_annotation = 100
        server.routes["/api/projects/1"] = lambda _: self._answer(self.project)
        server.routes["/api/projects/2"] = Reply(404, b'{"detail": "Not found."}')
        server.routes["/api/tasks"] = self._list
        server.routes["/api/ml"] = lambda _: self._answer([])
        server.routes["/api/predictions/"] = self._predict

    def add_task(self, colour: tuple[int, int, int] = (40, 80, 120), **data: Any) -> int:
        """A task with a small image of one colour; returns its id."""
        number = len(self.tasks) + 1
        fields = {"image": make_data_uri(make_image(colour=colour)), **data}
        self.tasks[number] = {"id": number, "data": fields, "annotations": [], "updated_at": self._now()}
        return number

    def annotate(self, task: int, *regions: dict[str, Any], **fields: Any) -> int:
        """Submit an annotation; returns its id."""
        self._next_annotation += 1
        now = self._now()
        base = {"id": self._next_annotation, "result": list(regions), "was_cancelled": False, "ground_truth": False, "completed_by": 1}
        self.tasks[task]["annotations"].append({**base, "created_at": now, "updated_at": now, **fields})
        self.tasks[task]["updated_at"] = now
        return self._next_annotation

    def delete_annotation(self, task: int, annotation: int) -> None:
        """Delete an annotation."""
        kept = [one for one in self.tasks[task]["annotations"] if one["id"] != annotation]
        self.tasks[task].update(annotations=kept, updated_at=self._now())

    def predict(self, task: int, version: str, score: float) -> None:
        """Store an empty prediction."""
        self.predictions.append({"task": task, "model_version": version, "score": score, "result": []})

    def _predict(self, request: Request) -> Reply:
        self.predictions.append(json.loads(request.body))
        return self._answer({})

    def _now(self) -> str:
        self._ticks += 1
        return f"2026-11-21T00:00:{self._ticks // 1000:02}.{self._ticks % 1000:06}Z"

    def _answer(self, value: Any) -> Reply:
        if self.failures:
            return Reply(self.failures.pop(0), b'{"detail": "failing"}')
        return Reply(200, json.dumps(value).encode())

    def _list(self, request: Request) -> Reply:
        asked = parse_qs(urlsplit(request.path).query)
        (only,) = json.loads(asked["query"][0])["filters"]["items"]
        if only["operator"] == "greater":
            chosen = [task for task in self.tasks.values() if task["id"] > only["value"]][: int(asked["page_size"][0])]
            return self._answer({"tasks": [self._listed(task) for task in chosen]})
        self.fetched.append(only["value"])
        return self._answer({"tasks": [self.tasks[number] for number in only["value"] if number in self.tasks]})

    def _listed(self, task: dict[str, Any]) -> dict[str, Any]:
        counting = [one for one in task["annotations"] if not one["was_cancelled"]]
        predictions = [one for one in self.predictions if one["task"] == task["id"]]
        return {
            "id": task["id"],
            "updated_at": task["updated_at"],
            "total_annotations": len(counting),
            "predictions_score": predictions[0]["score"] if predictions else None,
            "predictions_model_versions": ",".join(one["model_version"] for one in predictions),
        }


@contextmanager
def studio() -> Iterator[Studio]:
    """Serve until the block ends."""
    with local_server() as server:
        yield Studio(server)


def brush(label: str = "Dog", box: tuple[int, int, int, int] = (8, 4, 24, 20), **fields: Any) -> dict[str, Any]:
    """A brush region on a 48 x 64 image: the pixels inside ``box``."""
    value = {"format": "rle", "rle": encode(make_mask(box=box)), "brushlabels": [label]}
    return _region("mask", "brushlabels", value, fields)


def rectangle(label: str = "Dog", **fields: Any) -> dict[str, Any]:
    """A rectangle around x 16..32, y 12..24 of a 48 x 64 image."""
    value = {"x": 25, "y": 25, "width": 25, "height": 25, "rotation": 0, "rectanglelabels": [label]}
    return _region("box", "rectanglelabels", value, fields)


def polygon(label: str = "Dog", **fields: Any) -> dict[str, Any]:
    """The left half of a 48 x 64 image."""
    value = {"points": [[0, 0], [50, 0], [50, 100], [0, 100]], "closed": True, "polygonlabels": [label]}
    return _region("poly", "polygonlabels", value, fields)


_count = iter(range(10**9))


def _region(name: str, kind: str, value: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    return {"id": f"r{next(_count)}", "from_name": name, "to_name": "image", "type": kind, "value": value, **size, **fields}
