"""Image files of an export: their names, their copies, and several of them in one task."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.errors import BadRequest
from backend.export.image_files import FetchedFiles, FilesOnDisk
from backend.export.splits import UNSPLIT, Splits, parse_shares
from backend.export.task_images import TaskImage, left_name, own_name
from backend.images import ImageLoader
from tests.export_factories import annotated, brush_region, export, read_json, ring_and_island
from tests.factories import make_data_uri, make_image, make_settings

SIZE = (33, 47)
MANY = """<View><Image name="image" valueList="$images"/>
<BrushLabels name="brush" toName="image"><Label value="Dog"/></BrushLabels></View>"""
NAMES = [
    pytest.param("/data/upload/3/ab-a.png", "upload/3/ab-a.png", "7-ab-a.png", id="an upload"),
    pytest.param("http://ls:8080/data/upload/3/a.png", "upload/3/a.png", "7-a.png", id="an upload with host"),
    pytest.param("/data/local-files/?d=cars/a%20b.png", "cars/a b.png", "7-a_b.png", id="a local file"),
    pytest.param("/data/local-files/?d=../../etc/passwd", "etc/passwd", "7-passwd", id="a local file that climbs"),
    pytest.param("https://h.org/x/a.png?sig=secret", "x/a.png", "7-a.png", id="a signed address"),
    pytest.param("s3://bucket/x/a.png", "x/a.png", "7-a.png", id="cloud storage"),
    pytest.param("https://h.org/..%2f..%2fa\\..\\b", "a/b", "7-b", id="an address that climbs"),
    pytest.param("data:image/jpeg;base64,AAAA", "7.jpg", "7.jpg", id="a data URI"),
    pytest.param("https://h.org/", "7", "7", id="no path"),
    pytest.param("http://[bad", "7", "7", id="malformed"),
]


@pytest.mark.parametrize(("uri", "left", "own"), NAMES)
def test_files_are_named_so_that_no_name_leads_out_of_a_folder(uri: str, left: str, own: str) -> None:
    image = TaskImage(7, "image", uri, None)
    assert (left_name(image), own_name(image)) == (left, own)


def write_image(path: Path, size_hw: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(make_image(size_hw)).save(path)
    return path


def on_disk(root: Path) -> FilesOnDisk:
    return FilesOnDisk(root, 1 << 20, 10_000_000)


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_images_are_copied_or_linked_under_names_of_their_own(tmp_path: Path, mode: str) -> None:
    original = write_image(tmp_path / "media" / "upload" / "1" / "7.png")
    folder, _, findings = export(
        tmp_path, [annotated(7, [brush_region(ring_and_island())])], images=mode, files=on_disk(tmp_path / "media")
    )
    written = read_json(folder / "instances.json")["images"][0]["file_name"]
    assert written == "images/7-7.png"
    assert (folder / written).read_bytes() == original.read_bytes()
    assert (folder / written).is_symlink() is (mode == "link")
    assert not findings.counts


def test_the_files_size_is_the_truth(tmp_path: Path) -> None:
    write_image(tmp_path / "media" / "1" / "7.png")  # without the folder "upload", as in Label Studio's media folder
    liar = brush_region(ring_and_island(), original_width=94, original_height=66)
    folder, _, findings = export(tmp_path, [annotated(7, [liar])], images="copy", files=on_disk(tmp_path / "media"))
    written = read_json(folder / "instances.json")
    assert (written["images"][0]["height"], written["images"][0]["width"]) == SIZE
    assert len(written["annotations"]) == 1
    assert findings.counts == {("warning", "other-size"): 1}


def test_a_missing_file_is_told_and_its_masks_are_written(tmp_path: Path) -> None:
    folder, summary, findings = export(tmp_path, [annotated(7, [brush_region(ring_and_island())])], images="copy")
    assert summary.masks == 1
    assert findings.counts == {("error", "no-file"): 1}
    assert not (folder / "images").exists()


@pytest.mark.parametrize("uri", ["/data/local-files/?d=../secret.png", "/data/local-files/?d=link.png", "/data/local-files/?d=/secret.png"])
def test_nothing_outside_the_image_folder_is_read(tmp_path: Path, uri: str) -> None:
    write_image(tmp_path / "secret.png")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "link.png").symlink_to(tmp_path / "secret.png")
    folder, _, findings = export(
        tmp_path, [annotated(7, [brush_region(ring_and_island())], image=uri)], images="copy", files=on_disk(tmp_path / "media")
    )
    assert findings.counts["error", "no-file"] == 1
    assert not (folder / "images").exists()


def test_images_that_no_region_measures_are_looked_at(tmp_path: Path) -> None:
    fetched = FetchedFiles(ImageLoader(make_settings(tmp_path / "state"), None))
    tasks = [annotated(7, [], image=make_data_uri(make_image((48, 64))))]
    folder, _, findings = export(tmp_path, tasks, files=fetched)
    image = read_json(folder / "instances.json")["images"][0]
    assert (image["width"], image["height"], image["file_name"]) == (64, 48, "7.png")
    assert "coco_url" not in image
    assert not findings.counts


def test_a_turned_photograph_has_the_size_that_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "media" / "upload" / "1" / "7.jpg"
    path.parent.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    Image.fromarray(make_image((47, 33))).save(buffer, format="JPEG", exif=exif)
    path.write_bytes(buffer.getvalue())
    tasks = [annotated(7, [brush_region(ring_and_island())], image="/data/upload/1/7.jpg")]
    _, summary, findings = export(tmp_path, tasks, images="copy", files=on_disk(tmp_path / "media"))
    assert summary.masks == 1
    assert not findings.counts


def test_every_image_of_a_task_is_an_image_of_the_export(tmp_path: Path) -> None:
    other = np.ones((5, 4), np.bool_)
    regions = [
        brush_region(ring_and_island(), "a", item_index=0),
        brush_region(other, "b", item_index=2),
        brush_region(other, "c", item_index=9),
        brush_region(ring_and_island(), "d"),
    ]
    task = annotated(7, regions, data={"images": [f"/data/upload/1/{number}.png" for number in range(3)]})
    folder, summary, findings = export(tmp_path, [task], config=MANY, sizes="regions")
    written = read_json(folder / "instances.json")
    assert [(image["id"], image["attributes"].get("item_index")) for image in written["images"]] == [(7000, 0), (7001, 1), (7002, 2)]
    assert [(found["attributes"]["region_id"], found["image_id"]) for found in written["annotations"]] == [
        ("a", 7000),
        ("d", 7000),
        ("b", 7002),
    ]
    assert (written["images"][2]["width"], written["images"][2]["height"]) == (4, 5)
    assert summary.negatives == 1
    assert "region c: the task has no image 'image' at place 9" in findings.lines()[0]


def addressed(count: int) -> list[Any]:
    return [annotated(n, [brush_region(ring_and_island())], image=f"https://h.org/{n}.png") for n in range(1, count + 1)]


def image_ids(path: Path) -> list[int]:
    return [image["id"] for image in read_json(path)["images"]]


def test_shares_split_by_image_and_new_tasks_move_no_old_one(tmp_path: Path) -> None:
    splits = Splits(None, parse_shares("train=3, val=1"))
    few, _, _ = export(tmp_path, addressed(20), name="few", splits=splits)
    many, _, _ = export(tmp_path, addressed(40), name="many", splits=splits)
    old, new = ({name: set(image_ids(folder / f"instances_{name}.json")) for name in ("train", "val")} for folder in (few, many))
    assert old["train"] | old["val"] == set(range(1, 21))
    assert 10 <= len(old["train"]) < 20
    assert old["train"] <= new["train"]
    assert old["val"] <= new["val"]


def test_tasks_on_one_image_are_never_on_both_sides(tmp_path: Path) -> None:
    tasks = [annotated(n, [brush_region(ring_and_island())], image="https://h.org/same.png") for n in range(1, 30)]
    folder, _, _ = export(tmp_path, tasks, splits=Splits(None, parse_shares("train=1,val=1")))
    assert sorted(len(image_ids(folder / f"instances_{name}.json")) for name in ("train", "val")) == [0, 29]


def test_a_field_of_the_tasks_may_name_the_split(tmp_path: Path) -> None:
    tasks = addressed(3)
    for task, split in zip(tasks, ["test", "train", "../x"], strict=True):
        task["data"]["split"] = split
    folder, _, _ = export(tmp_path, tasks, splits=Splits("split"))
    assert {path.name: image_ids(path) for path in folder.glob("instances*")} == {
        "instances_test.json": [1],
        "instances_train.json": [2],
        f"instances_{UNSPLIT}.json": [3],
    }


def test_a_field_that_names_no_splits_is_refused(tmp_path: Path) -> None:
    tasks = addressed(30)
    for number, task in enumerate(tasks):
        task["data"]["name"] = f"name{number}"
    with pytest.raises(BadRequest, match="more than 20 splits"):
        export(tmp_path, tasks, splits=Splits("name"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "train", "train=0", "train=-1", "train=x", "train=nan", "a=1,a=2", "../a=1", ".a=1"])
def test_shares_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="split"):
        parse_shares(text)
