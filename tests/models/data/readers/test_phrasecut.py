"""PhraseCut: phrases with polygons, filled as its own tools fill them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.data.readers import DatasetReadError, detect_dataset_format
from models.data.sample import Category
from tests.refer_world import write_phrasecut


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_phrasecut(tmp_path / "VGPhraseCut_v0")


def official_mask(polygons: list[list[list[float]]], size_hw: tuple[int, int]) -> np.ndarray:
    """The union of polygons with corners cut to whole pixels, one picture each."""
    union = np.zeros(size_hw, bool)
    for polygon in polygons:
        picture = Image.new("L", size_hw[::-1], 0)
        ImageDraw.Draw(picture).polygon([(int(x), int(y)) for x, y in polygon], outline=1, fill=1)
        union |= np.asarray(picture) > 0
    return union


def test_a_phrase_refers_to_each_of_its_things(folder: Path, read: Any) -> None:
    heard = read("phrasecut", folder)
    assert not heard.remarks
    assert heard.categories == (Category(1, "dog"),)
    tasks = {task["task_id"]: task for task in json.loads((folder / "refer_val.json").read_text())}
    assert [sample.image for sample in heard.samples] == ["70.jpg", "71.jpg"]
    for sample in heard.samples:
        assert [len(expression.target_ids) for expression in sample.expressions] == [1, 2]
        for expression in sample.expressions:
            assert (expression.text, expression.kind, expression.split) == ("red dog", "attribute", "val")
            for target, polygons in zip(expression.target_ids, tasks[expression.id]["Polygons"], strict=True):
                np.testing.assert_array_equal(sample.mask_of([target]), official_mask(polygons, (40, 56)))


def test_all_splits_of_a_folder_come_in_or_the_one_that_is_named(folder: Path, read: Any) -> None:
    write_phrasecut(folder.parent / "more", split="test")
    (folder / "refer_test.json").write_text((folder.parent / "more" / "refer_test.json").read_text().replace(": 7", ": 8"))
    (folder / "refer_input_val.json").write_text("[]")
    listed = json.loads((folder / "image_data_split.json").read_text())
    listed += [{**one, "image_id": one["image_id"] + 10, "split": "test"} for one in listed[:2]]
    (folder / "image_data_split.json").write_text(json.dumps(listed))
    assert [sample.split for sample in read("phrasecut", folder).samples] == ["val", "val", "test", "test"]
    assert [sample.split for sample in read("phrasecut", folder / "refer_test.json").samples] == ["test", "test"]


def test_the_format_is_known_by_its_phrases(folder: Path) -> None:
    assert detect_dataset_format(folder) == detect_dataset_format(folder / "refer_val.json") == "phrasecut"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        pytest.param({"Polygons": [[[[1, 1], [5, 5]]]]}, "bad-mask", "2 points", id="polygon of two points"),
        pytest.param({"Polygons": [[]]}, "bad-mask", "expected a list", id="thing without polygons"),
        pytest.param({"Polygons": None}, "bad-mask", "Polygons", id="nothing marked"),
        pytest.param({"Polygons": [[[[1, 1], [5], [7, 7]]]]}, "bad-mask", "", id="point without y"),
        pytest.param({"Polygons": [[[["a", 1], [5, 1], [7, 7]]]]}, "bad-mask", "", id="point is a text"),
        pytest.param({"Polygons": [[[[1e9, 1], [5, 1], [7, 7]]]]}, "bad-mask", "no pair", id="point far away"),
        pytest.param({"image_id": 9}, "unknown-image", "not listed", id="image of another split"),
        pytest.param({"phrase": None}, "bad-reference", "without a phrase", id="no phrase"),
    ],
)
def test_a_broken_phrase_is_left_out_whole(folder: Path, read: Any, changes: Any, kind: str, words: str) -> None:
    tasks = json.loads((folder / "refer_val.json").read_text())
    tasks[0].update(changes)
    (folder / "refer_val.json").write_text(json.dumps(tasks))
    heard = read("phrasecut", folder)
    assert heard.kinds == [kind]
    assert words in heard.remarks[0].what
    assert [len(sample.expressions) for sample in heard.samples] == [1, 2]


def test_a_broken_box_costs_only_the_box(folder: Path, read: Any) -> None:
    tasks = json.loads((folder / "refer_val.json").read_text())
    tasks[0]["instance_boxes"] = [[1, 2, 0, 4]]
    tasks[0]["phrase_structure"] = None
    (folder / "refer_val.json").write_text(json.dumps(tasks))
    heard = read("phrasecut", folder)
    assert heard.kinds == ["bad-box"]
    assert [target.box is None for target in heard.samples[0].targets] == [True, False, False]


@pytest.mark.parametrize("missing", ["refer_val.json", "image_data_split.json"])
def test_a_missing_file_is_named(folder: Path, read: Any, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(DatasetReadError, match=missing.split(".")[0].split("_val")[0]):
        read("phrasecut", folder)
