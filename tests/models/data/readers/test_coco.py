"""COCO instances: masks are those of pycocotools to the pixel, and whatever is broken is told and left out alone."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from pycocotools.coco import COCO

from models.data.readers import DatasetReadError, DatasetSource, read_dataset
from models.data.readers.segmentation import segmentation_to_rle
from models.data.sample import Category
from models.masks import coco_rle_to_mask
from tests.refer_world import decode, make_instances, uncompressed

SIZE = (48, 64)
SQUARE = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def one_annotation(**changes: Any) -> dict[str, Any]:
    """A file with one image and one annotation, which differs from a sound one by ``changes``; ``...`` takes a field away."""
    sound = {"id": 1, "image_id": 500, "category_id": 18, "iscrowd": 0, "area": 100, "bbox": [10, 10, 10, 10], "segmentation": [SQUARE]}
    changed = {key: value for key, value in {**sound, **changes}.items() if value is not ...}
    return {**make_instances(1), "annotations": [changed]}


def test_masks_are_those_of_cocos_own_tools(tmp_path: Path, read: Any) -> None:
    file = write(tmp_path / "instances_train2017.json", make_instances(images=5, per_image=6))
    official = COCO(file)
    heard = read("coco", file)
    assert not heard.remarks
    assert [sample.image for sample in heard.samples] == [image["file_name"] for image in official.dataset["images"]]
    for sample in heard.samples:
        assert {target.id for target in sample.targets} == set(official.getAnnIds(sample.attributes["image_id"]))
        for target in sample.targets:
            entry = official.anns[target.id]
            np.testing.assert_array_equal(sample.mask_of([target.id]), decode(official.annToRLE(entry)))
            assert target.iscrowd == bool(entry["iscrowd"])
            assert target.label == official.cats[entry["category_id"]]["name"]
            x, y, width, height = entry["bbox"]
            assert target.box == (x, y, x + width, y + height)


def test_categories_keep_their_ids_and_order(tmp_path: Path, read: Any) -> None:
    content = {**make_instances(1), "categories": [{"id": 9, "name": "b"}, {"id": 2, "name": "a"}, {"id": 5, "name": "never used"}]}
    assert read("coco", write(tmp_path / "a.json", content)).categories == (Category(9, "b"), Category(2, "a"), Category(5, "never used"))


@pytest.mark.parametrize(
    ("name", "split"),
    [("instances_train2017.json", "train"), ("val.json", "val"), ("my_test-set.json", "test"), ("training.json", None)],
)
def test_the_split_is_taken_from_the_name_of_the_file(tmp_path: Path, read: Any, name: str, split: str | None) -> None:
    file = write(tmp_path / name, make_instances(1))
    assert read("coco", file).samples[0].split == split
    assert read("coco", file, split="mine").samples[0].split == "mine"


def test_annotations_may_stand_before_the_images(tmp_path: Path, read: Any) -> None:
    content = make_instances(2)
    backwards = {key: content[key] for key in reversed(content)}
    assert read("coco", write(tmp_path / "a.json", backwards)).samples == read("coco", write(tmp_path / "b.json", content)).samples


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_rle_is_kept_exactly(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    compressed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": [height, width], "counts": compressed["counts"].decode()}
    for form in (text, compressed, uncompressed(mask), [text], [uncompressed(mask)]):
        rle, mistakes = segmentation_to_rle(form, (height, width))
        assert (rle, mistakes) == (text, [])


def test_runs_beyond_all_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="larger than any image"):
        segmentation_to_rle({"size": [48, 64], "counts": [2**70]}, SIZE)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-50, 100), min_size=6, max_size=12).filter(lambda one: len(one) % 2 == 0), min_size=1, max_size=3))
def test_any_polygons_are_filled_as_by_cocos_own_tools(polygons: list[list[float]]) -> None:
    rle, mistakes = segmentation_to_rle(polygons, SIZE)
    np.testing.assert_array_equal(coco_rle_to_mask(rle), decode(coco.merge(coco.frPyObjects(polygons, *SIZE))))
    assert not mistakes


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        pytest.param({"segmentation": [[1, 1, 5, 5]]}, "bad-mask", "4 numbers", id="polygon of two points"),
        pytest.param({"segmentation": [[1, 1, 5, 5, 9, 1, 3]]}, "bad-mask", "7 numbers", id="odd number of coordinates"),
        pytest.param({"segmentation": [[1, 1, 1e12, 5, 9, 1]]}, "bad-mask", "outline", id="corner far away"),
        pytest.param({"segmentation": [[1, 1, "x", 5, 9, 1]]}, "bad-mask", "polygon 1", id="coordinate is a text"),
        pytest.param({"segmentation": ["abc"]}, "bad-mask", "found str", id="polygon is a text"),
        pytest.param({"segmentation": [[]]}, "bad-mask", "0 numbers", id="empty polygon"),
        pytest.param({"segmentation": {"size": [9, 9], "counts": [81]}}, "bad-mask", "size", id="RLE of another size"),
        pytest.param({"segmentation": {"size": [48, 64], "counts": [81]}}, "bad-mask", "add up", id="RLE too short"),
        pytest.param({"segmentation": {"size": [48, 64], "counts": [3073, -1]}}, "bad-mask", "add up", id="negative run"),
        pytest.param({"segmentation": {"size": [48, 64], "counts": [2**62]}}, "bad-mask", "add up", id="endless run"),
        pytest.param({"segmentation": {"size": [48, 64], "counts": "~~~"}}, "bad-mask", "COCO RLE", id="RLE is damaged"),
        pytest.param({"segmentation": {"size": [48, 64], "counts": None}}, "bad-mask", "neither", id="RLE without counts"),
        pytest.param({"segmentation": 5}, "bad-mask", "int", id="segmentation is a number"),
        pytest.param({"segmentation": ..., "bbox": ...}, "bad-mask", "NoneType", id="neither mask nor box"),
        pytest.param({"image_id": 7}, "unknown-image", "not among", id="image is missing"),
        pytest.param({"image_id": [500]}, "unknown-image", "not among", id="image id is a list"),
        pytest.param({"id": "one"}, "bad-annotation", "whole number", id="id is a text"),
        pytest.param({"id": 1.5}, "bad-annotation", "whole number", id="id is a fraction"),
    ],
)
def test_a_broken_annotation_is_left_out_with_a_reason(tmp_path: Path, read: Any, changes: Any, kind: str, words: str) -> None:
    content = one_annotation(**changes)
    content["annotations"].append({**one_annotation()["annotations"][0], "id": 2})
    heard = read("coco", write(tmp_path / "a.json", content))
    assert [(remark.severity, remark.kind) for remark in heard.remarks] == [("error", kind)]
    assert words in heard.remarks[0].what
    assert [target.id for target in heard.samples[0].targets] == [2], "the sound one is kept"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"area": -5}, "bad-area", id="negative area"),
        pytest.param({"bbox": [1, 2, -3, 4]}, "bad-box", id="box of negative width"),
        pytest.param({"bbox": "none"}, "bad-box", id="box is a text"),
        pytest.param({"category_id": 99}, "unknown-category", id="unknown category"),
        pytest.param({"category_id": [18]}, "unknown-category", id="category is a list"),
        pytest.param({"segmentation": []}, "no-mask", id="only a box"),
        pytest.param({"segmentation": [SQUARE, [1, 2]]}, "bad-polygon", id="one of two polygons is broken"),
        pytest.param({"segmentation": {"size": [48, 64], "counts": [48 * 64]}}, "empty-mask", id="mask without a pixel"),
    ],
)
def test_a_doubtful_annotation_is_kept_with_a_warning(tmp_path: Path, read: Any, changes: Any, kind: str) -> None:
    heard = read("coco", write(tmp_path / "a.json", one_annotation(**changes)))
    assert [(remark.severity, remark.kind) for remark in heard.remarks] == [("warning", kind)]
    assert len(heard.samples[0].targets) == 1


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param({"file_name": "../../etc/passwd"}, "inside the folder", id="path leads out"),
        pytest.param({"file_name": "/etc/passwd"}, "inside the folder", id="absolute path"),
        pytest.param({"file_name": "C:\\secret.png"}, "inside the folder", id="path of Windows"),
        pytest.param({"file_name": "http://host/a.png"}, "inside the folder", id="address"),
        pytest.param({"file_name": "a\0.png"}, "inside the folder", id="zero byte"),
        pytest.param({"file_name": None}, "inside the folder", id="no name"),
        pytest.param({"height": 0}, "height and width", id="no height"),
        pytest.param({"width": "64"}, "height and width", id="width is a text"),
        pytest.param({"width": 10**9}, "height and width", id="larger than any image"),
        pytest.param({"id": None}, "expected a whole number or a text", id="no id"),
    ],
)
def test_a_broken_image_is_left_out_with_what_is_on_it(tmp_path: Path, read: Any, image: Any, words: str) -> None:
    content = make_instances(2, per_image=1)
    content["images"][0].update(image)
    heard = read("coco", write(tmp_path / "a.json", content))
    assert heard.kinds == ["bad-image", "unknown-image"]
    assert words in heard.remarks[0].what
    assert len(heard.samples) == 1


def test_of_two_entries_with_one_id_the_first_is_kept(tmp_path: Path, read: Any) -> None:
    content = one_annotation()
    content["images"].append({**content["images"][0], "file_name": "other.jpg"})
    content["annotations"].append({**content["annotations"][0], "category_id": 1})
    content["categories"] = [*content["categories"], {"id": 18, "name": "cat"}]
    heard = read("coco", write(tmp_path / "a.json", content))
    assert heard.kinds == ["duplicate-id"] * 3
    assert [target.label for target in heard.samples[0].targets] == ["dog"]


def test_without_categories_everything_comes_in_without_labels(tmp_path: Path, read: Any) -> None:
    heard = read("coco", write(tmp_path / "a.json", {**make_instances(1), "categories": []}))
    assert heard.kinds == ["no-categories"]
    assert [target.label for target in heard.samples[0].targets] == [None] * 4


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_entries_that_are_no_objects_are_told(tmp_path: Path, read: Any, key: str) -> None:
    content = make_instances(1)
    content[key] = [*content[key], 7]
    heard = read("coco", write(tmp_path / "a.json", content))
    assert len(heard.remarks) == 1
    assert "found 7" in heard.remarks[0].what


def test_a_file_that_ends_in_the_middle_gives_what_stands_before(tmp_path: Path, read: Any) -> None:
    text = json.dumps(make_instances(3))
    heard = read("coco", write(tmp_path / "a.json", text[: text.index("categories") - 300]))
    assert heard.kinds == ["no-categories", "damaged-file"], "categories stand at the end"
    assert "3 images and 11 annotations were read" in heard.remarks[1].what
    assert sum(len(sample.targets) for sample in heard.samples) == 11


def test_a_file_without_annotations_gives_its_images(tmp_path: Path, read: Any) -> None:
    heard = read("coco", write(tmp_path / "image_info_test2017.json", {**make_instances(2), "annotations": []}))
    assert heard.kinds == ["no-annotations"]
    assert len(heard.samples) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("[]", "expected an object", id="a list"),
        pytest.param("", "expected an object", id="an empty file"),
        pytest.param("{", "no image that can be used", id="nothing but a brace"),
        pytest.param('{"images": [{}]}', "no image that can be used", id="only broken images"),
        pytest.param('{"images": {}}', "no image that can be used", id="images are no list"),
    ],
)
def test_a_file_without_any_image_is_refused(tmp_path: Path, read: Any, content: str, words: str) -> None:
    with pytest.raises(DatasetReadError, match=words):
        read("coco", write(tmp_path / "a.json", content))


def test_a_file_that_is_not_there_is_told(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DatasetReadError, match="does not exist"):
        read("coco", tmp_path / "a.json")


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, read: Any) -> None:
    file = write(tmp_path / "a.json", make_instances(2))
    last = {name: (done, total) for name, done, total in read("coco", file).progress}
    assert last["annotations of a.json"] == (file.stat().st_size, file.stat().st_size)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(images: int) -> int:
        file = write(tmp_path / f"{images}.json", make_instances(images, per_image=20))
        tracemalloc.start()
        with read_dataset("coco", DatasetSource(file)) as reading:
            assert sum(len(sample.targets) for sample in reading.samples) == 20 * images
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # what is imported on first use is not the file's
    assert peak(100) < peak(20) + 500_000
