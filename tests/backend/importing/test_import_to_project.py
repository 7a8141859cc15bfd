"""``wordmask import --to-project``: every image a task, its masks a prediction, each once whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from backend.brush_rle import encode
from backend.cli import app
from backend.importing import task_store
from backend.regions import region_to_mask
from models import DatasetSource, read_dataset
from tests.backend.importing.import_studio import ImportStudio, import_studio
from tests.factories import make_mask
from tests.refer_world import make_instances, write_images, write_refer

SIZE = (48, 64)
NAMES = [image["file_name"] for image in make_instances(3)["images"]]


@pytest.fixture
def studio() -> Iterator[ImportStudio]:
    with import_studio() as running:
        yield running


@pytest.fixture(autouse=True)
def workplace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, studio: ImportStudio) -> Path:
    """A data set with its images, and settings that point at the studio."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("backend.label_studio_errors.time.sleep", lambda seconds: None)
    write_refer(tmp_path / "refcoco", make_instances(3))
    write_images(tmp_path / "images", NAMES, SIZE)
    return tmp_path


def run(*options: str, path: str = "refcoco", images: tuple[str, ...] = ("--image-root", "images")) -> Result:
    return CliRunner().invoke(app, ["import", "auto", path, "--to-project", "1", *images, *options])


def test_every_image_becomes_a_task_with_its_very_masks(studio: ImportStudio) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "project 1: 3 tasks with 12 regions created, 0 were there already; 0 errors, 0 warnings, 3 notes" in result.output
    assert "it is a crowd, which no region can say" in result.output
    with read_dataset("refcoco", DatasetSource(Path("refcoco"))) as found:
        for sample, task in zip(found.samples, studio.tasks, strict=True):
            (prediction,) = task["predictions"]
            assert prediction["model_version"] == "import:refcoco"
            for target, region in zip(sample.targets, prediction["result"], strict=True):
                assert region["id"] == f"wm-{target.id}"
                assert region["value"]["brushlabels"] == [target.label]
                np.testing.assert_array_equal(region_to_mask(region, SIZE), sample.mask_of([target.id]))


def test_expressions_are_prompts_of_the_task_and_words_of_their_regions(studio: ImportStudio) -> None:
    run()
    with read_dataset("refcoco", DatasetSource(Path("refcoco"))) as found:
        for sample, task in zip(found.samples, studio.tasks, strict=True):
            assert set(task["data"]["prompt"]) == {expression.text for expression in sample.expressions}
            words = {region["id"]: region.get("meta", {"text": []})["text"] for region in task["predictions"][0]["result"]}
            for expression in sample.expressions:
                assert expression.text in words[f"wm-{expression.target_ids[0]}"]


def test_images_are_uploaded_once_each(studio: ImportStudio) -> None:
    run()
    assert [name for name, _ in studio.uploads] == NAMES
    assert [body for _, body in studio.uploads] == [(Path("images") / name).read_bytes() for name in NAMES]
    assert [task["data"]["image"] for task in studio.tasks] == [f"/data/upload/1/{n}-{name}" for n, name in enumerate(NAMES)]


@pytest.mark.parametrize(
    ("option", "address"),
    [
        pytest.param(("--image-url", "https://example.com/train 2014/"), f"https://example.com/train 2014/{NAMES[0]}", id="web"),
        pytest.param(("--image-local", "coco/train2014"), f"/data/local-files/?d=coco/train2014/{NAMES[0]}", id="local files"),
    ],
)
def test_images_may_be_where_label_studio_finds_them(studio: ImportStudio, option: tuple[str, str], address: str) -> None:
    assert run(*option, images=()).exit_code == 0
    assert studio.tasks[0]["data"]["image"] == address
    assert not studio.uploads


def test_a_second_run_adds_nothing(studio: ImportStudio) -> None:
    run()
    result = run()
    assert "0 tasks with 0 regions created, 3 were there already" in result.output
    assert len(studio.tasks) == len(studio.uploads) == 3


def test_a_run_that_broke_off_is_continued(studio: ImportStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.importing.to_project.MOST_TASKS", 1)
    studio.failures = ["", 401]
    result = run()
    assert result.exit_code == 1
    assert "1 tasks were created; the same command goes on from there" in result.stderr
    assert "2 tasks with 8 regions created, 1 were there already" in run().output
    assert len({task["data"]["wordmask_import"] for task in studio.tasks}) == len(studio.tasks) == 3


@pytest.mark.parametrize("failures", [[503, 503], ["lose the answer"]], ids=["fails for a while", "answer lost"])
def test_temporary_failures_are_outlasted_without_duplicates(studio: ImportStudio, failures: list[Any]) -> None:
    studio.failures = failures
    assert run().exit_code == 0
    assert len({task["data"]["wordmask_import"] for task in studio.tasks}) == len(studio.tasks) == 3


def test_one_task_that_is_refused_does_not_cost_the_others(studio: ImportStudio) -> None:
    studio.refused_keys = {f"refcoco:501:{NAMES[1]}"}
    result = run()
    assert result.exit_code == 3
    assert f"image refcoco:501:{NAMES[1]}: Label Studio answered 400" in result.output
    assert len(studio.tasks) == 2


def test_predictions_that_label_studio_swallows_are_an_error(studio: ImportStudio) -> None:
    studio.failures = ["forget predictions"]
    result = run()
    assert result.exit_code == 1
    assert "imported {'task_count': 3, 'prediction_count': 0}" in result.stderr


def test_a_dry_run_looks_at_everything_and_writes_nothing(studio: ImportStudio) -> None:
    result = run("--dry-run")
    assert "3 tasks with 12 regions would be created" in result.output
    assert not studio.tasks
    assert not studio.uploads


def test_labels_that_the_project_does_not_have_are_told(studio: ImportStudio) -> None:
    studio.config = studio.config.replace('<Label value="dog"/>', "")
    result = run()
    assert result.exit_code == 3
    assert "its label 'dog' is not in the labeling config (labels: person)" in result.output
    labels = {region["value"]["brushlabels"][0] for task in studio.tasks for region in task["predictions"][0]["result"]}
    assert labels == {"person"}


def test_outlines_are_used_with_a_warning_where_nothing_better_is_there(studio: ImportStudio) -> None:
    studio.config = studio.config.replace("BrushLabels", "PolygonLabels")
    result = run()
    assert result.exit_code == 0
    assert "PolygonLabels holds outlines only" in result.output
    assert {region["type"] for task in studio.tasks for region in task["predictions"][0]["result"]} == {"polygonlabels"}
    ids = [region["id"] for task in studio.tasks for region in task["predictions"][0]["result"]]
    assert len(ids) == len(set(ids))


def test_labels_may_come_with_the_task(studio: ImportStudio) -> None:
    studio.config = """<View><Image name="image" value="$image"/><BrushLabels name="m" toName="image" value="$labels"/></View>"""
    assert run().exit_code == 0
    assert studio.tasks[0]["data"]["labels"] == ["person", "dog"]
    assert len(studio.tasks[0]["predictions"][0]["result"]) == 4


@pytest.fixture
def boxes(workplace: Path) -> str:
    """A data set with one annotation that has a box only."""
    instances = make_instances(1, per_image=2)
    instances["annotations"] = [{**instances["annotations"][0], "segmentation": [], "bbox": [16, 12, 32, 24], "category_id": 18}]
    (workplace / "boxes.json").write_text(json.dumps(instances))
    return "boxes.json"


def test_boxes_without_masks_go_to_the_control_for_boxes(studio: ImportStudio, boxes: str) -> None:
    assert run(path=boxes).exit_code == 0
    (region,) = studio.tasks[0]["predictions"][0]["result"]
    assert region["from_name"] == "box"
    assert region["value"] == {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["dog"]}


def test_boxes_without_masks_are_told_where_nothing_holds_boxes(studio: ImportStudio, boxes: str) -> None:
    studio.config = studio.config.replace("RectangleLabels", "BitmaskLabels")
    result = run(path=boxes)
    assert result.exit_code == 3
    assert "only a box is known, and the labeling config has no RectangleLabels" in result.output


def test_an_export_of_label_studio_can_move_into_another_project(studio: ImportStudio, workplace: Path) -> None:
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0, "meta": {"text": ["left dog"]}}
    value = {"format": "rle", "rle": encode(make_mask()), "brushlabels": ["dog"]}
    region = {"id": "r", "from_name": "any", "to_name": "image", "type": "brushlabels", "value": value, **size}
    exported = [{"id": 8, "data": {"image": f"/data/upload/1/{NAMES[0]}"}, "annotations": [{"id": 1, "result": [region]}]}]
    (workplace / "export.json").write_text(json.dumps(exported))
    (workplace / "images" / "upload" / "1").mkdir(parents=True)
    (workplace / "images" / NAMES[0]).rename(workplace / "images" / "upload" / "1" / NAMES[0])
    result = run(path="export.json")
    assert result.exit_code == 0, result.output
    (found,) = studio.tasks[0]["predictions"][0]["result"]
    np.testing.assert_array_equal(region_to_mask(found, SIZE), make_mask())
    assert found["meta"]["text"] == ["left dog"]


def test_files_of_one_name_in_two_tasks_both_come_in(studio: ImportStudio, workplace: Path) -> None:
    images = [f"/data/upload/{number}/{NAMES[number]}" for number in (1, 2)]
    for image in images:
        folder = workplace / "images" / Path(image).parent.relative_to("/data")
        folder.mkdir(parents=True)
        (workplace / "images" / Path(image).name).rename(folder / "same.jpg")
    data = [{"image": str(Path(image).with_name("same.jpg"))} for image in images]
    exported = [{"id": 8, "data": one, "annotations": [{"id": 1, "result": []}]} for one in data]
    exported[1]["id"] = 9
    (workplace / "export.json").write_text(json.dumps(exported))
    assert "2 tasks with 0 regions created" in run(path="export.json").output
    assert "2 were there already" in run(path="export.json").output


def test_masks_without_a_pixel_are_told(studio: ImportStudio, workplace: Path) -> None:
    instances = make_instances(1, per_image=1)
    instances["annotations"][0]["segmentation"] = {"size": [48, 64], "counts": [48 * 64]}
    (workplace / "empty.json").write_text(json.dumps(instances))
    result = run(path="empty.json")
    assert result.exit_code == 3
    assert "covers no pixel" in result.output
    assert studio.tasks[0]["predictions"][0]["result"] == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param("<View/>", "Image", id="no image"),
        pytest.param(
            '<View><Image name="i" valueList="$l"/><Brush name="b" toName="i"/></View>', "an import needs a single one", id="list of images"
        ),
    ],
)
def test_a_project_that_cannot_hold_masks_is_one_line(studio: ImportStudio, config: str, words: str) -> None:
    studio.config = config
    result = run()
    assert result.exit_code == 1
    assert words in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param((), "Label Studio needs the images", id="no images"),
        pytest.param(("--image-url", "http://x", "--image-local", "y"), "give one of them", id="two places"),
        pytest.param(("--image-url", "ftp://x"), "must be an address", id="no web address"),
        pytest.param(("--image-url", "http://x/?a=1"), "must be an address", id="address with a query"),
    ],
)
def test_mistakes_about_images_are_one_line(options: tuple[str, ...], words: str) -> None:
    result = run(*options, images=())
    assert result.exit_code == 1
    assert words in result.stderr


def test_many_tasks_go_in_requests_of_bounded_size(studio: ImportStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.importing.to_project.MOST_CHARACTERS", 1)
    run()
    assert studio.requests_with_tasks == 3
    assert task_store.KEY_FIELD in studio.tasks[0]["data"]
