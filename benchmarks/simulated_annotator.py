"""Somebody who corrects tasks in a real Label Studio as the ground truth says: uploads, chooses, annotates, presses Train, waits."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

from backend.label_config import LabelPlan, parse_label_config
from backend.regions import segment_to_regions
from models.data.emoji_scenes import SceneSet
from models.types import Segment
from tools.backend_server import BackendServer
from tools.label_studio_api import LabelStudioApi
from tools.label_studio_server import new_label_studio
from tools.processes import free_port

_LOOK_SECONDS = 2.0
_LONGEST_JOB_SECONDS = 4 * 3600.0
_FILES_AT_ONCE = 50
"""In one call; Label Studio takes 100."""


@dataclass(frozen=True)
class Place:
    """A running Label Studio and a running service, connected by their addresses, with their data in one folder."""

    api: LabelStudioApi
    service_url: str
    data_dir: Path
    environment: Mapping[str, str]

    def wordmask(self, *arguments: str) -> str:
        """Run a command as a person would; what it printed."""
        program = str(Path(sys.executable).parent / "wordmask")
        done = subprocess.run([program, *arguments], env={**os.environ, **self.environment}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"wordmask {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def running(folder: Path, **chosen: str) -> Iterator[Place]:
    """Start both on the ports that they had before, so that a project of an earlier run still finds its service.

    Args:
        folder: of everything; what is there already goes on.
        chosen: settings of the service, as environment variables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = folder / "ports.json"
    if not ports.exists():
        ports.write_text(json.dumps([free_port(), free_port()]))
    studio_port, service_port = json.loads(ports.read_text())
    settings = {
        "WORDMASK_TRAIN_AFTER_CORRECTIONS": "0",  # jobs begin when the annotator presses the button, and never by themselves
        "WORDMASK_TRAIN_AFTER_MINUTES": "0",
        **chosen,
    }
    with (
        new_label_studio(folder / "label-studio", studio_port) as studio,
        BackendServer(folder / "service", studio.url, studio.token, port=service_port, **settings) as service,
    ):
        api = LabelStudioApi(studio.url, studio.token)
        environment = {
            **settings,
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.token,
            "WORDMASK_PORT": str(service_port),
            "WORDMASK_DATA_DIR": str(folder / "service" / "state"),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        yield Place(api, service.url, folder / "service" / "state", environment)
        api.close()


class Annotator:
    """Works on one project.

    Args:
        place: where.
        scenes: with the ground truth.
        labels: names of classes; all others are left unmarked.
    """

    def __init__(self, place: Place, scenes: SceneSet, labels: Sequence[str]) -> None:
        self._place = place
        self._scenes = scenes
        self._labels = labels

    def new_project(self, title: str, indices: Sequence[int]) -> tuple[int, dict[int, int]]:
        """A connected project with a task per scene: its number, and the scene of each task."""
        api = self._place.api
        project = api.create_project(title[:50], self.label_config())
        files = {f"{index:05}": (f"{index:05}.png", _png(self._image(index)), "image/png") for index in indices}
        numbers: list[int] = []
        waiting = iter(files.items())
        while some := dict(islice(waiting, _FILES_AT_ONCE)):
            numbers += api.call("POST", f"/api/projects/{project}/import?return_task_ids=1", files=some)["task_ids"]
        names = {task: api.task(task)["data"]["image"] for task in numbers}
        tasks = {task: int(Path(name).stem.rpartition("-")[2]) for task, name in names.items()}
        self._place.wordmask("connect", "--project", str(project))
        return project, tasks

    def choose(self, strategy: str, project: int, waiting: Sequence[int], count: int, rng: np.random.Generator) -> Iterator[int]:
        """Tasks to annotate next, one after the other; each is to be annotated before the next one is asked for."""
        if count < 1:  # a run that was stopped after its annotations
            return
        if strategy == "random":
            yield from (int(task) for task in rng.permutation(sorted(waiting))[:count])
        elif strategy == "doubt":  # as Label Studio's own label stream gives them out, by the scores of predictions
            for _ in range(count):
                yield int(self._place.api.call("GET", f"/api/projects/{project}/next")["id"])
        else:
            told = json.loads(self._place.wordmask("select", "--project", str(project), "--budget", str(count), "--json"))
            yield from (one["task"] for one in told["chosen"])

    def annotate(self, task: int, index: int) -> None:
        """Submit every object of the labels as a brush mask."""
        meta, plan = self._scenes.meta(index), self._plan()
        height, width = meta.size_hw
        ids = self._scenes.ids(index)[:height, :width]
        regions: list[dict[str, Any]] = []
        for one in meta.objects:
            if one.name in self._labels:
                regions += segment_to_regions(Segment("", ids == one.id, 1.0), plan.outputs[0], one.name, prompt=None)
        self._place.api.call("POST", f"/api/tasks/{task}/annotations/", json={"result": regions, "lead_time": 1.0})

    def train(self, project: int) -> str:
        """Press Start Training and wait for the job's last word."""
        known = {job["id"] for job in self.jobs(project) if job["ended_at"]}  # one that a stopped run has left goes on, and is meant
        self.press_train(project)
        deadline = time.monotonic() + _LONGEST_JOB_SECONDS
        while time.monotonic() < deadline:
            new = [job for job in self.jobs(project) if job["id"] not in known]
            if new and new[0]["ended_at"]:
                if new[0]["state"] != "finished":
                    raise RuntimeError(f"job {new[0]['id']} is {new[0]['state']}: {new[0]['note']}")
                return str(new[0]["note"])
            time.sleep(_LOOK_SECONDS)
        raise RuntimeError(f"the job of project {project} does not end")

    def press_train(self, project: int) -> None:
        """Press Start Training."""
        (backend,) = self._place.api.call("GET", f"/api/ml?project={project}")
        self._place.api.call("POST", f"/api/ml/{backend['id']}/train")

    def jobs(self, project: int) -> list[dict[str, Any]]:
        """The jobs of a project, newest first."""
        jobs = requests.get(f"{self._place.service_url}/jobs", timeout=60).json()["jobs"]
        return [job for job in jobs if job["project"] == project]

    def _image(self, index: int) -> Any:
        height, width = self._scenes.meta(index).size_hw
        return self._scenes.image(index)[:height, :width]

    def _plan(self) -> LabelPlan:
        return parse_label_config(self.label_config())

    def label_config(self) -> str:
        """Of its projects: every label asked for in words, as brush masks."""
        labels = "".join(f'<Label value="{label}"/>' for label in self._labels)
        control = f'<BrushLabels name="masks" toName="image" model="ssp-sam">{labels}</BrushLabels>'
        return f'<View><Image name="image" value="$image"/>{control}</View>'


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
