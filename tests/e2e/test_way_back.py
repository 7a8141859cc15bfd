"""The way back with a real Label Studio: connect, annotate, and what people submitted is a data set that training reads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from backend.dataset.store import SampleStore
from backend.label_config import parse_label_config
from backend.regions import segment_to_regions
from models import Sample, Segment
from models.data.dataset_folder import DatasetFolder
from tests.e2e.conftest import LabelStudio, plain_scene
from tools.backend_server import BackendServer
from tools.redis_server import RedisServer, find_redis

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

CONFIG = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="masks" toName="photo"><Label value="Bear"/><Label value="Rocket"/></BrushLabels>
</View>"""
SECRET = "a secret of this test"


@dataclass(frozen=True)
class Wordmask:
    """A running service with its trainer, and the environment of whoever runs commands beside it."""

    url: str
    data_dir: Path
    environment: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, expect its exit code, return what it printed."""
        program = str(Path(sys.executable).parent / "wordmask")
        environment = {**os.environ, **self.environment}
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def jobs(self) -> list[dict[str, Any]]:
        """Its jobs, newest first."""
        return list(requests.get(f"{self.url}/jobs", timeout=30).json()["jobs"])

    def samples(self, project: int) -> list[Sample]:
        """The samples of a project as they are now."""
        return list(SampleStore(self.data_dir / "samples.sqlite3").samples(project))

    def written(self, project: int) -> list[Sample]:
        """The samples that the last job has written for training."""
        return list(DatasetFolder(self.data_dir / "datasets" / str(project)))


@pytest.fixture(scope="module", params=["file", "redis"])
def service(request: pytest.FixtureRequest, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wordmask]:
    """A service with a secret for webhooks, its jobs in a file or in a real Redis."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("way-back")
        settings = {"WORDMASK_WEBHOOK_SECRET": SECRET, "WORDMASK_TRAIN_AFTER_CORRECTIONS": "2"}
        if request.param == "redis":
            program = find_redis()
            if program is None:
                pytest.skip("redis-server is not installed; run `make install-all`, which installs Debian's package")
            settings["WORDMASK_REDIS_URL"] = stack.enter_context(RedisServer(program, folder)).url
        server = stack.enter_context(BackendServer(folder, label_studio.url, label_studio.token, **settings))
        environment = {
            **settings,
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_KEY": label_studio.token,
            "WORDMASK_PORT": server.url.rpartition(":")[2],
            "WORDMASK_DATA_DIR": str(folder / "state"),
        }
        yield Wordmask(server.url, folder / "state", environment)


def wait_until(is_so: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def brush(mask: Any, label: str) -> dict[str, Any]:
    (region,) = segment_to_regions(Segment("", mask, 1.0), parse_label_config(CONFIG).outputs[0], label, prompt=None)
    return region


def test_what_people_submit_becomes_a_data_set_and_leaves_when_they_delete_it(label_studio: LabelStudio, service: Wordmask) -> None:
    api, scene = label_studio.api, plain_scene()
    project = api.create_project("the way back", CONFIG)
    tasks = [task["id"] for task in api.upload_images(project, [scene.path] * 2)]

    # Connected twice, it is connected once.
    assert "connected backend" in service.run("connect", "--project", str(project))
    assert "✓" not in service.run("connect", "--project", str(project))
    (hook,) = api.call("GET", f"/api/webhooks/?project={project}")
    assert (hook["url"], hook["headers"]) == (f"{service.url}/webhook", {"X-Wordmask-Secret": SECRET})
    (backend,) = api.call("GET", f"/api/ml?project={project}")
    settings = api.call("GET", f"/api/projects/{project}")
    assert (settings["sampling"], settings["model_version"]) == ("Uncertainty sampling", backend["model_version"])
    stranger = {"action": "TASKS_DELETED", "tasks": tasks, "project": {"id": project}}
    assert requests.post(f"{service.url}/webhook", json=stranger, timeout=30).status_code == 401

    # Annotations arrive by webhook, and become samples and a job without anybody asking.
    mask = scene.sample.objects[0]
    body = {"result": [brush(mask, "Bear")], "lead_time": 1.0}
    submitted = [api.call("POST", f"/api/tasks/{task}/annotations/", json=body)["id"] for task in tasks]
    wait_until(lambda: len(service.samples(project)) == 2)
    wait_until(lambda: [(job["state"], job["reason"]) for job in service.jobs()] == [("finished", "2 new corrections")])
    first, second = service.written(project)
    assert np.array_equal(first.mask_of([1]), mask)
    assert {said.text: said.target_ids for said in first.expressions} == {"Bear": (1,), "Rocket": ()}
    assert first.split == second.split, "one image, whatever its file is called"

    # What is deleted leaves; the Train button makes a job.
    api.call("DELETE", f"/api/annotations/{submitted[0]}/")
    wait_until(lambda: len(service.samples(project)) == 1)
    api.call("POST", f"/api/ml/{backend['id']}/train")
    wait_until(lambda: [job["state"] for job in service.jobs()] == ["finished", "finished"])
    assert service.jobs()[0]["reason"] == "asked for in Label Studio"
    assert len(service.written(project)) == 1
    assert "1 samples" in service.run("dataset", "show", "--project", str(project))

    # A webhook that a removed backend has left is found, and removed on request.
    api.call("POST", f"/api/webhooks/?project={project}", json={"url": "http://127.0.0.1:1/webhook", "project": project})
    assert "--prune removes it" in service.run("connect", "--project", str(project))
    assert "removed" in service.run("connect", "--project", str(project), "--prune")
    assert [hook["url"] for hook in api.call("GET", f"/api/webhooks/?project={project}")] == [f"{service.url}/webhook"]
