"""The way back with a real Label Studio: connect, annotate, and what people submitted is a data set that training reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from backend.label_config import parse_label_config
from backend.regions import segment_to_regions
from models import Segment
from tests.e2e.conftest import LabelStudio, plain_scene
from tests.e2e.wordmask_service import QUEUES, SECRET, Wordmask, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.label_studio, pytest.mark.timeout(900)]

CONFIG = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="masks" toName="photo"><Label value="Bear"/><Label value="Rocket"/></BrushLabels>
</View>"""


@pytest.fixture(scope="module", params=QUEUES)
def service(request: pytest.FixtureRequest, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wordmask]:
    """A service that trains after two corrections, a little."""
    settings = {"WORDMASK_TRAIN_AFTER_CORRECTIONS": "2", "WORDMASK_TRAIN_STEPS": "2"}
    with running(request.param, label_studio, tmp_path_factory.mktemp("way-back"), **settings) as started:
        yield started


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
