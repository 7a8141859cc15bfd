"""An export of Label Studio as a data set: the masks of its regions, the words that asked for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from backend.brush_rle import encode
from backend.cli import app
from backend.importing.image_shelf import file_size_hw
from backend.regions import region_to_mask
from models import DatasetFolder
from tests.factories import make_data_uri, make_image, make_mask

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="mask" toName="image"><Label value="Dog"/><Label value="Cat"/></BrushLabels>
<RectangleLabels name="box" toName="image"><Label value="Dog"/></RectangleLabels></View>"""
SIZE = (48, 64)


def brush(region_id: str = "r1", label: str = "Dog", **fields: Any) -> dict[str, Any]:
    value = {"format": "rle", "rle": encode(make_mask()), "brushlabels": [label]}
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    return {"id": region_id, "from_name": "mask", "to_name": "image", "type": "brushlabels", **size, "value": value, **fields}


def box() -> dict[str, Any]:
    value = {"x": 25, "y": 50, "width": 50, "height": 25, "rotation": 0, "rectanglelabels": ["Dog"]}
    return {**brush("r2"), "from_name": "box", "type": "rectanglelabels", "value": value}


def task(task_id: int, *regions: dict[str, Any], image: str = "/data/upload/1/a.png", **annotation: Any) -> dict[str, Any]:
    return {"id": task_id, "data": {"image": image}, "annotations": [{"id": 10 * task_id, "result": list(regions), **annotation}]}


@pytest.fixture(autouse=True)
def workplace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    (tmp_path / "config.xml").write_text(CONFIG)
    return tmp_path


def run(tasks: Any, *options: str) -> Result:
    Path("export.json").write_text(json.dumps(tasks))
    return CliRunner().invoke(app, ["import", "auto", "export.json", "--out", "set", *options])


def test_regions_become_targets_and_their_prompts_expressions() -> None:
    asked = brush(meta={"text": ["the brown dog"]})
    result = run([task(1, asked, box())], "--images", "leave", "--label-config", "config.xml")
    assert result.exit_code == 0, result.output
    (sample,) = DatasetFolder("set")
    assert sample.image == "images/upload/1/a.png"
    np.testing.assert_array_equal(sample.mask_of([1]), region_to_mask(asked, SIZE))
    assert sample.targets[1].rle is None
    assert sample.targets[1].box == (16.0, 24.0, 48.0, 36.0)
    assert [(said.text, said.target_ids) for said in sample.expressions] == [("the brown dog", (1,)), ("Dog", (1, 2)), ("Cat", ())]
    assert [category.name for category in DatasetFolder("set").manifest.categories] == ["Dog", "Cat"]


def test_predictions_come_in_on_request_and_say_nothing_about_what_they_left_out() -> None:
    item = {**task(1), "predictions": [{"id": 5, "model_version": "m", "result": [brush(score=0.5)]}]}
    result = run([item], "--images", "leave", "--source", "predictions", "--label-config", "config.xml")
    assert result.exit_code == 0, result.output
    (sample,) = DatasetFolder("set")
    assert [said.text for said in sample.expressions] == ["Dog"]
    assert sample.attributes == {"task": 1, "prediction": 5}


def test_images_inside_the_tasks_come_along() -> None:
    assert run([task(1, brush(), image=make_data_uri())]).exit_code == 0
    folder = DatasetFolder("set")
    (sample,) = folder
    assert np.array_equal(np.asarray(Image.open(folder.image_path(sample))), make_image())


@pytest.mark.parametrize("mode", ["leave", "copy", "link"])
def test_images_are_found_under_the_root(workplace: Path, mode: str) -> None:
    (workplace / "media" / "upload" / "1").mkdir(parents=True)
    Image.fromarray(make_image()).save(workplace / "media" / "upload" / "1" / "a.png")
    assert run([task(1, brush())], "--image-root", "media", "--images", mode).exit_code == 0
    folder = DatasetFolder("set")
    (sample,) = folder
    assert file_size_hw(folder.image_path(sample)) == SIZE
    assert Path(sample.image).is_absolute() == (mode == "leave")


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        pytest.param(task(1, {**brush(), "value": {"format": "rle", "rle": [1, 2, 3]}}), "unreadable", id="damaged brush"),
        pytest.param(task(1, {**brush(), "to_name": "elsewhere"}, brush("r9")), "unknown-image", id="region on another image"),
        pytest.param(task(1), "no-image", id="size unknown"),
        pytest.param({"id": 1, "data": {}, "annotations": [{"id": 1, "result": []}]}, "no-image", id="no image"),
        pytest.param({"id": "x", "data": {}}, "no-task-id", id="no task"),
    ],
)
def test_what_is_broken_is_told_with_its_task(item: Any, kind: str) -> None:
    result = run([task(2, brush()), item], "--images", "leave", "--label-config", "config.xml")
    assert result.exit_code == 3, result.output
    findings = json.loads(Path("set/report.json").read_text())["findings"]
    assert [finding["kind"] for finding in findings if finding["severity"] == "error"] == [kind]
    assert 2 in [sample.attributes["task"] for sample in DatasetFolder("set")]


def test_a_task_with_two_images_gives_two_samples(workplace: Path) -> None:
    second = '<Image name="other" value="$more"/><Brush name="stroke" toName="other"/></View>'
    (workplace / "config.xml").write_text(CONFIG.replace("</View>", second))
    stroke = {**brush("r3"), "from_name": "stroke", "to_name": "other", "type": "brush"}
    item = task(1, brush(), stroke)
    item["data"]["more"] = "https://example.com/b.png?signed=1"
    assert run([item], "--images", "leave", "--label-config", "config.xml").exit_code == 0
    assert [(sample.image, len(sample.targets)) for sample in DatasetFolder("set")] == [("images/upload/1/a.png", 1), ("images/b.png", 1)]


def test_tasks_that_nobody_reviewed_are_noted_and_left_out() -> None:
    result = run([task(1, brush(), was_cancelled=True), task(2, brush())], "--images", "leave")
    assert result.exit_code == 0
    assert "task 1: the task has no annotation that counts" in result.output
    assert [sample.attributes["task"] for sample in DatasetFolder("set")] == [2]
