"""`wordmask export` against a real Label Studio: its own masks bit for bit, a failure in the middle, and the download."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import requests
from PIL import Image

from backend.export.download import TOKEN_HEADER
from models import coco_rle_to_mask
from tests.e2e.conftest import LabelStudio
from tests.export_factories import CONFIG, bitmask_region, brush_region, read_json, ring_and_island, shape_region
from tests.local_http import LocalServer, Reply, Request, local_server
from tools.backend_server import BackendServer

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

Command = Callable[..., subprocess.CompletedProcess[str]]


def soft_stroke() -> npt.NDArray[np.uint8]:
    """A stroke with a soft rim, as a person draws it."""
    y, x = np.mgrid[:37, :101]
    return np.clip(255 * (1.3 - (y - 18) ** 2 / 200 - (x - 40) ** 2 / 900), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def project(label_studio: LabelStudio) -> int:
    """Brush masks with holes, islands, soft rims and odd sizes, other shapes beside them, an image of nothing, and tasks nobody did."""
    api = label_studio.api
    made = api.create_project("masks to export", CONFIG)
    noise = np.random.default_rng(1).random((19, 23)) < 0.5
    results: list[list[dict[str, Any]]] = [
        [brush_region(ring_and_island(), "ring"), brush_region(~ring_and_island(), "rest", ["Cow"])],
        [brush_region(soft_stroke(), "soft", ["Cat"])],
        [brush_region(np.ones((1, 1), np.bool_), "pixel")],
        [brush_region(noise, "noise", ["Cow"])],
        [
            bitmask_region(ring_and_island(), "bitmask"),
            shape_region("polygon", {"points": [[10, 10], [90, 20], [50, 90]], "closed": True}, (33, 47), "polygon"),
            shape_region("rectangle", {"x": 20, "y": 10, "width": 40, "height": 30, "rotation": 15}, (33, 47), "rectangle"),
            shape_region("ellipse", {"x": 50, "y": 50, "radiusX": 30, "radiusY": 20, "rotation": 30}, (33, 47), "ellipse"),
        ],
        [],
    ]
    tasks = [{"data": {"image": f"https://images.invalid/{number}.png"}} for number in range(30)]
    ids = api.call("POST", f"/api/projects/{made}/import?return_task_ids=1", json=tasks)["task_ids"]
    for task, result in zip(ids, results, strict=False):
        api.call("POST", f"/api/tasks/{task}/annotations/", json={"result": result})
    return made


@pytest.fixture
def run(label_studio: LabelStudio, tmp_path: Path) -> Command:
    """Runs the installed command as a person would."""

    def command(*arguments: str, url: str = label_studio.url) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": label_studio.token, "NO_PROXY": "127.0.0.1"}
        environment["WORDMASK_DATA_DIR"] = str(tmp_path / "data")
        line = [str(Path(sys.executable).parent / "wordmask"), "export", *arguments]
        return subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

    return command


def download(label_studio: LabelStudio, path: str) -> bytes:
    answer = requests.get(label_studio.url + path, headers={"Authorization": f"Token {label_studio.token}"}, timeout=120)
    answer.raise_for_status()
    return answer.content


def test_brush_masks_are_those_that_label_studio_itself_exports(
    label_studio: LabelStudio, project: int, run: Command, tmp_path: Path
) -> None:
    done = run("coco", "--project", str(project), "--out", "out", "--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    written = read_json(tmp_path / "out" / "instances.json")
    names = {category["id"]: category["name"] for category in written["categories"]}
    ours = {
        (annotation["attributes"]["annotation_id"], names[annotation["category_id"]]): coco_rle_to_mask(annotation["segmentation"])
        for annotation in written["annotations"]
        if annotation["attributes"]["region_id"] in ("ring", "rest", "soft", "pixel", "noise")
    }
    pictures = zipfile.ZipFile(io.BytesIO(download(label_studio, f"/api/projects/{project}/export?exportType=BRUSH_TO_PNG")))
    theirs = {}
    for name in pictures.namelist():
        match = re.search(r"annotation-(\d+)-by-\d+-brush-(\w+)-\d+\.png$", name)
        if match:
            theirs[int(match[1]), match[2]] = np.asarray(Image.open(io.BytesIO(pictures.read(name)))) >= 128
    assert ours.keys() == theirs.keys()
    assert len(ours) == 5
    for key, mask in ours.items():
        assert np.array_equal(mask, theirs[key]), key
    assert len(written["annotations"]) == 9
    assert len(written["images"]) == 6  # the image of nothing stays, those that nobody has looked at do not


def test_a_live_project_and_its_export_file_give_the_same_annotations(
    label_studio: LabelStudio, project: int, run: Command, tmp_path: Path
) -> None:
    (tmp_path / "project.json").write_bytes(
        download(label_studio, f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")
    )
    (tmp_path / "config.xml").write_text(CONFIG, encoding="utf-8")
    live = run("coco", "--project", str(project), "--out", "live", "--processes", "1")
    filed = run("coco", "--file", "project.json", "--label-config", "config.xml", "--out", "filed", "--processes", "1")
    assert (live.returncode, filed.returncode) == (0, 0), live.stderr + filed.stderr
    one, other = (read_json(tmp_path / name / "instances.json") for name in ("live", "filed"))
    by_region = [sorted(found["annotations"], key=lambda item: str(item["attributes"])) for found in (one, other)]
    assert [item | {"id": 0} for item in by_region[0]] == [item | {"id": 0} for item in by_region[1]]
    assert one["categories"] == other["categories"]


@pytest.fixture
def failing(label_studio: LabelStudio) -> Iterator[LocalServer]:
    """Label Studio behind a gateway that has one bad moment: the second page of tasks is refused."""
    pages: list[str] = []

    def forward(request: Request) -> Reply:
        if request.path.startswith("/api/tasks"):
            pages.append(request.path)
            if len(pages) == 2:
                return Reply(400, b'{"detail": "a bad moment"}')
        headers = {name: value for name, value in request.headers.items() if name in ("authorization", "content-type")}
        answer = requests.request(request.method, label_studio.url + request.path, headers=headers, data=request.body, timeout=120)
        return Reply(answer.status_code, answer.content, {"Content-Type": answer.headers.get("Content-Type", "text/plain")})

    with local_server() as server:
        server.answer = forward  # type: ignore[method-assign]
        yield server


def test_a_failure_in_mid_export_costs_nothing_and_the_same_command_goes_on(
    project: int, run: Command, failing: LocalServer, tmp_path: Path
) -> None:
    arguments = ("coco", "--project", str(project), "--processes", "1")
    broken = run(*arguments, "--out", "out", url=failing.url)
    assert broken.returncode == 1
    assert "the same command goes on from there" in broken.stderr
    assert not (tmp_path / "out").exists()
    resumed = run(*arguments, "--out", "out", url=failing.url)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on with the tasks" in resumed.stderr
    direct = run(*arguments, "--out", "direct")
    assert direct.returncode == 0
    assert (tmp_path / "out" / "instances.json").read_bytes() == (tmp_path / "direct" / "instances.json").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} - {"data"} == {"out", "direct"}


def test_the_service_hands_the_same_masks_to_the_owner_of_the_project(
    label_studio: LabelStudio, backend_server: BackendServer, project: int, run: Command, tmp_path: Path
) -> None:
    answer = requests.get(f"{backend_server.url}/projects/{project}/export/coco", headers={TOKEN_HEADER: label_studio.token}, timeout=240)
    assert answer.status_code == 200, answer.text
    written = json.loads(zipfile.ZipFile(io.BytesIO(answer.content)).read("instances.json"))
    assert run("coco", "--project", str(project), "--out", "out", "--processes", "1").returncode == 0
    assert written["annotations"] == read_json(tmp_path / "out" / "instances.json")["annotations"]
    strange = requests.get(f"{backend_server.url}/projects/{project}/export/coco", headers={TOKEN_HEADER: "f" * 40}, timeout=60)
    assert strange.status_code == 403
