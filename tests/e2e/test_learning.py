"""Correct some images in a real Label Studio, press Train, and the next image is answered better: no restart, and a way back.

The images show what the shipped weights have no word for, gold coins, drawn here; the first version that is trained finds them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image, ImageDraw

from backend.dataset.split import split_of
from backend.label_config import parse_label_config
from backend.regions import region_to_mask, segment_to_regions
from models import BoolMask, RgbImage, Segment, image_digest
from tests.e2e.conftest import LabelStudio
from tests.e2e.wordmask_service import QUEUES, SECRET, Wordmask, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

CONFIG = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="masks" toName="photo"><Label value="Coin"/></BrushLabels>
</View>"""
SIDE = 256
ANNOTATED = Counter(train=7, val=3)
TAKEN_UP_WITHIN = 5.0
"""Seconds that every process which serves has for a new version."""


@dataclass(frozen=True)
class Picture:
    """A picture with one coin and one blue box."""

    path: Path
    coin: BoolMask


@pytest.fixture(scope="module", params=QUEUES)
def service(request: pytest.FixtureRequest, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wordmask]:
    """A service of two processes that trains when it is asked to."""
    settings = {
        "WORDMASK_TRAIN_AFTER_CORRECTIONS": "0",
        "WORDMASK_TRAIN_AFTER_MINUTES": "0",
        "WORDMASK_TRAIN_STEPS": "12",
        "WORDMASK_WORKERS": "2",
    }
    with running(request.param, label_studio, tmp_path_factory.mktemp("learning"), **settings) as started:
        yield started


def draw(rng: np.random.Generator) -> tuple[RgbImage, BoolMask]:
    """A picture, and where its coin is."""
    picture = Image.fromarray(rng.integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8))
    places = rng.permutation([(40, 40), (150, 40), (40, 150), (150, 150)])
    x, y = (int(at + rng.integers(-15, 15)) for at in places[0])
    size = 2 * int(rng.integers(25, 38))
    coin = Image.new("1", (SIDE, SIDE))
    ImageDraw.Draw(coin).ellipse((x, y, x + size, y + size), fill=1)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((x, y, x + size, y + size), fill=(235, 195, 40), outline=(150, 110, 10), width=4)
    left, top = (int(at) for at in places[1])
    pen.rectangle((left, top, left + 50, top + 60), fill=(40, 80, 200))
    return np.asarray(picture), np.asarray(coin)


def pictures(folder: Path, wanted: Counter[str]) -> list[Picture]:
    """So many pictures of each split."""
    rng, left, drawn = np.random.default_rng(20261121), wanted.copy(), []
    while left.total():
        image, coin = draw(rng)
        split = split_of(image_digest(image))
        if left[split]:
            left[split] -= 1
            drawn.append(Picture(folder / f"{len(drawn)}.png", coin))
            Image.fromarray(image).save(drawn[-1].path)
    return drawn


@dataclass(frozen=True)
class Project:
    """The project in Label Studio, and what the service answers for one of its tasks."""

    label_studio: LabelStudio
    service: Wordmask
    id: int
    task: int
    coin: BoolMask

    def answer(self) -> dict[str, Any]:
        """The prediction for the task, asked for as Label Studio asks, without the regions' ids, which are new each time."""
        api = self.label_studio.api
        epoch = int(time.mktime(time.strptime("2020", "%Y")))
        body = {"tasks": [api.task(self.task)], "project": f"{self.id}.{epoch}", "label_config": CONFIG}
        reply = requests.post(f"{self.service.url}/predict", json=body, timeout=100)
        assert reply.status_code == 200
        (found,) = reply.json()["results"]
        assert found, "no request is left without an answer"
        return {**found, "result": [{**region, "id": ""} for region in found["result"]]}

    def iou(self, prediction: dict[str, Any]) -> float:
        """How well a prediction covers the coin."""
        masks = [region_to_mask(region, (SIDE, SIDE)) for region in prediction["result"]]
        found = np.logical_or.reduce([np.zeros((SIDE, SIDE), np.bool_), *masks])
        return float((found & self.coin).sum() / (found | self.coin).sum())

    def last_answer_of_others(self, version: str) -> float:
        """Ask on and on until nobody but ``version`` answers; returns after how many seconds another one was asked last.

        Every request on the way gets its answer, from whichever process it reaches.
        """
        started = time.monotonic()
        last, in_a_row = 0.0, 0
        while in_a_row < 8:
            asked_at = time.monotonic() - started
            assert asked_at < 120, "it was never taken up"
            in_a_row += 1
            if self.answer()["model_version"] != version:
                last, in_a_row = asked_at, 0
        return last


def new_project(label_studio: LabelStudio, service: Wordmask, folder: Path) -> tuple[Project, list[Picture], list[int]]:
    """A connected project whose last task is nobody's to annotate."""
    api = label_studio.api
    drawn = pictures(folder, ANNOTATED + Counter(val=1))
    last = next(picture for picture in reversed(drawn) if split_of(image_digest(np.asarray(Image.open(picture.path)))) == "val")
    ordered = [picture for picture in drawn if picture is not last] + [last]
    project = api.create_project("coins", CONFIG)
    tasks = [task["id"] for task in api.upload_images(project, [picture.path for picture in ordered])]
    service.run("connect", "--project", str(project))
    return Project(label_studio, service, project, tasks[-1], last.coin), ordered, tasks


def annotate(label_studio: LabelStudio, task: int, coin: BoolMask) -> None:
    """Submit what an annotator would."""
    (region,) = segment_to_regions(Segment("", coin, 1.0), parse_label_config(CONFIG).outputs[0], "Coin", prompt=None)
    label_studio.api.call("POST", f"/api/tasks/{task}/annotations/", json={"result": [region], "lead_time": 1.0})


@pytest.mark.timeout(900)
def test_what_people_correct_is_answered_better_without_a_restart_and_rolls_back_to_the_bit(
    label_studio: LabelStudio, service: Wordmask, tmp_path: Path
) -> None:
    api = label_studio.api
    project, ordered, tasks = new_project(label_studio, service, tmp_path)
    (backend,) = api.call("GET", f"/api/ml?project={project.id}")
    base = backend["model_version"]
    api.retrieve_predictions(project.id, [project.task])
    before = project.answer()
    assert before["model_version"] == base

    # People correct, and press Train.
    for picture, task in zip(ordered, tasks[:-1], strict=False):
        annotate(label_studio, task, picture.coin)
    wait_until(lambda: service.has_taken_in("ANNOTATION_CREATED", ANNOTATED.total()))
    for _ in range(2):
        api.call("POST", f"/api/ml/{backend['id']}/train")
    wait_until(lambda: service.jobs() and all(job["ended_at"] for job in service.jobs()), seconds=600)
    (job,) = service.jobs()
    version = f"{base}.p{project.id}.v1"
    assert (job["state"], job["note"].split(" serves")[0]) == ("finished", version), service.run("train", "log", job["id"])

    assert len(service.samples(project.id)) == ANNOTATED.total()

    # The version answers, better; Label Studio knows its name, and the older prediction was made anew.
    after = project.answer()
    assert after["model_version"] == version
    assert project.iou(after) > project.iou(before) + 0.3
    (backend,) = api.call("GET", f"/api/ml?project={project.id}")
    settings = api.call("GET", f"/api/projects/{project.id}")
    assert (backend["title"], backend["model_version"], settings["model_version"]) == (version,) * 3
    assert settings["sampling"] == "Uncertainty sampling"
    assert api.call("GET", f"/api/projects/{project.id}/next")["id"] == project.task
    assert [found["model_version"] for found in api.predictions(project.task)] == [base, version]
    assert project.iou(api.predictions(project.task)[-1]) > project.iou(before) + 0.3
    assert [found["model_version"] for found in [project.answer()]] == [version]
    assert version in requests.get(f"{service.url}/versions", timeout=30).json()["versions"]

    # The way back, and forth again, while requests go on.
    assert "the base weights" in service.run("versions", "rollback", "--project", str(project.id))
    assert project.answer() == before
    settings = api.call("GET", f"/api/projects/{project.id}")
    assert settings["model_version"] == base
    rollback = f"{service.url}/projects/{project.id}/versions/rollback"
    assert requests.post(rollback, json={"to": version}, timeout=30).status_code == 401
    told = requests.post(rollback, json={"to": version}, headers={"X-Wordmask-Secret": SECRET}, timeout=30).json()
    assert told == {"serving": version}
    assert project.last_answer_of_others(version) < TAKEN_UP_WITHIN
    assert project.answer() == after
    assert json.loads(service.run("versions", "list", "--project", str(project.id), "--json"))["serving"] == version

    # Nothing was corrected since: the button trains nothing, and says so.
    api.call("POST", f"/api/ml/{backend['id']}/train")
    wait_until(lambda: len(service.jobs()) == 2 and service.jobs()[0]["ended_at"])
    assert "nothing new" in service.jobs()[0]["note"]
