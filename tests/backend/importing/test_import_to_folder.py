"""``wordmask import`` into a data set folder, as a person runs it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from backend.cli import app
from backend.importing.image_shelf import file_size_hw
from models import DatasetFolder
from tests.refer_world import make_instances, make_references, write_images, write_panoptic, write_phrasecut, write_refer

SIZE = (48, 64)


@pytest.fixture(autouse=True)
def workplace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without a developer's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    return tmp_path


@pytest.fixture
def refcoco(tmp_path: Path) -> Path:
    return write_refer(tmp_path / "refcoco", make_instances(3))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    names = [image["file_name"] for image in make_instances(3)["images"]]
    return write_images(tmp_path / "train2014", names, SIZE)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def test_refcoco_comes_in_with_its_images_left_in_place(refcoco: Path, images: Path) -> None:
    result = run("refcoco", refcoco, "--out", "set", "--image-root", images)
    assert result.exit_code == 0, result.output
    assert "3 images with 12 targets (0 of them boxes) and 18 expressions (0 about nothing) are in set; 0 errors" in result.output
    folder = DatasetFolder("set")
    assert folder.manifest.splits == {"testA": 4, "testB": 4, "train": 6, "val": 4}
    assert folder.manifest.source == "refcoco, refcoco"
    assert [folder.image_path(sample) for sample in folder] == sorted(images.iterdir())
    assert json.loads(Path("set/report.json").read_text())["counts"]["expressions"] == 18
    assert sorted(path.name for path in Path("set").iterdir()) == ["manifest.json", "report.json", "samples.jsonl"]


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_images_are_copied_or_linked_on_request(refcoco: Path, images: Path, mode: str) -> None:
    assert run("auto", refcoco, "--out", "set", "--image-root", images, "--images", mode).exit_code == 0
    folder = DatasetFolder("set")
    paths = [folder.image_path(sample) for sample in folder]
    assert [path.parent for path in paths] == [Path("set/images")] * 3
    assert [path.is_symlink() for path in paths] == [mode == "link"] * 3
    assert all(file_size_hw(path) == SIZE for path in paths)


def test_without_images_the_command_says_where_they_belong(refcoco: Path) -> None:
    result = run("refcoco", refcoco, "--out", "set")
    assert result.exit_code == 0
    assert "put the image files into set/images" in result.output
    assert next(iter(DatasetFolder("set"))).image == "images/COCO_train2014_000000000500.jpg"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("coco-panoptic", lambda folder: write_panoptic(folder / "panoptic_val2017.json")),
        ("phrasecut", lambda folder: write_phrasecut(folder / "phrases")),
        ("refcocog", lambda folder: write_refer(folder / "some", make_instances(1), "umd")),
    ],
)
def test_formats_are_recognised(tmp_path: Path, name: str, write: Any) -> None:
    result = run("auto", write(tmp_path), "--out", "set")
    assert result.exit_code == 0, result.output
    assert DatasetFolder("set").manifest.source.startswith(name + ", ")


def test_what_is_broken_is_told_counted_and_left_out(tmp_path: Path, images: Path) -> None:
    instances = make_instances(3)
    instances["annotations"][0]["segmentation"] = [[1, 2]]
    instances["annotations"][1]["area"] = -1
    references = make_references(instances)
    references[0]["ann_id"] = 99
    (images / instances["images"][2]["file_name"]).unlink()
    Image.new("RGB", (9, 9)).save(images / instances["images"][1]["file_name"])
    result = run("refcoco", write_refer(tmp_path / "broken", instances, references=references), "--out", "set", "--image-root", images)
    assert result.exit_code == 3
    findings = json.loads(Path("set/report.json").read_text())["findings"]
    assert {finding["kind"] for finding in findings} >= {"bad-mask", "bad-area", "unknown-annotation", "no-file", "other-size"}
    assert "the file has 9x9 pixels, the data set says 64x48" in result.output
    assert "COCO_train2014_000000000502.jpg is missing" in result.output
    assert len(DatasetFolder("set")) == 1


def test_names_that_no_terminal_can_show_do_no_harm(tmp_path: Path) -> None:
    instances = make_instances(1)
    references = make_references(instances, splits=("\x1b[31mred\ud800",))
    references[0]["sentences"][0]["sent"] = "half a \udfff character"
    folder = write_refer(tmp_path / "odd", instances, references=[])
    (folder / "refs(unc).p").write_bytes(pickle.dumps(references))
    result = run("refcoco", folder, "--out", "set")
    assert result.exit_code == 0, result.output
    assert "\x1b[31m" not in result.stdout
    assert next(iter(DatasetFolder("set"))).expressions[0].text == "half a \udfff character"


def test_strict_stops_at_the_first_and_leaves_nothing(tmp_path: Path) -> None:
    instances = make_instances(1)
    instances["annotations"][0]["area"] = -1
    result = run("refcoco", write_refer(tmp_path / "broken", instances), "--out", "set", "--strict")
    assert result.exit_code == 1
    assert "stopped by --strict" in result.stderr
    assert not list(tmp_path.glob("set*"))


def test_a_dry_run_tells_the_same_and_writes_nothing(tmp_path: Path, refcoco: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = run("refcoco", refcoco, "--dry-run")
    assert result.exit_code == 0
    assert "18 expressions (0 about nothing) would come in" in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_a_data_set_is_replaced_only_on_request(refcoco: Path) -> None:
    assert run("refcoco", refcoco, "--out", "set").exit_code == 0
    again = run("refcoco", refcoco, "--out", "set")
    assert again.exit_code == 1
    assert "--overwrite replaces a data set" in again.stderr
    assert run("refcoco", refcoco, "--out", "set", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["refcoco", "refcoco"], "give either --out", id="nowhere to go"),
        pytest.param(["refcoco", "refcoco", "--out", "a", "--to-project", "1"], "give either --out", id="two places to go"),
        pytest.param(["voc", "refcoco", "--out", "a"], "unknown format 'voc'", id="unknown format"),
        pytest.param(["auto", "train2014", "--out", "a"], "of no format that is known", id="nothing recognised"),
        pytest.param(["auto", "gone", "--out", "a"], "does not exist", id="nothing there"),
        pytest.param(["refcoco", "refcoco", "--out", "a", "--image-root", "gone"], "is no folder", id="no images there"),
        pytest.param(["refcoco", "refcoco", "--out", "a", "--images", "copy"], "needs --image-root", id="nothing to copy"),
        pytest.param(["refcoco", "train2014", "--out", "a"], "holds no file refs", id="another folder"),
        pytest.param(["refcoco", "refcoco", "--out", "train2014"], "no data set", id="folder with other files"),
        pytest.param(["refcoco", "refcoco", "--to-project", "1"], "LABEL_STUDIO_URL is not set", id="no Label Studio"),
    ],
)
def test_mistakes_are_one_line(refcoco: Path, images: Path, arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_picture_turned_by_its_exif_orientation_has_the_size_that_is_seen(tmp_path: Path) -> None:
    instances = make_instances(1)
    picture = Image.new("RGB", SIZE)
    exif = picture.getexif()
    exif[0x0112] = 6
    folder = write_images(tmp_path / "turned", [], SIZE)
    picture.save(folder / instances["images"][0]["file_name"], exif=exif)
    assert run("refcoco", write_refer(tmp_path / "one", instances), "--out", "set", "--image-root", folder).exit_code == 0
