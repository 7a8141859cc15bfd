"""COCO-Stuff and ADE20K: pixels of a PNG are labels, and what nobody labelled is a crowd without a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.data.readers import DatasetReadError, detect_dataset_format
from models.data.readers.label_maps import LabelMapFolder
from models.data.sample import Category
from tests.label_map_world import SIZE_HW, write_ade20k, write_coco_stuff

LAYOUTS = pytest.mark.parametrize(
    ("name", "write", "labels"),
    [
        pytest.param("coco-stuff", write_coco_stuff, ["person", "bicycle", "blanket"], id="COCO-Stuff"),
        pytest.param("ade20k", write_ade20k, ["wall", "building", "CRT screen"], id="ADE20K"),
    ],
)


@LAYOUTS
def test_every_label_of_an_image_is_one_target_with_its_pixels(
    tmp_path: Path, read: Any, name: str, write: Callable[[Path], Path], labels: list[str]
) -> None:
    heard = read(name, write(tmp_path / "set"))
    assert not heard.remarks
    assert len(heard.samples) == 4
    sample = heard.samples[0]
    assert sample.size_hw == SIZE_HW
    by_label = {target.label: sample.mask_of([target.id]) for target in sample.targets}
    assert list(filter(None, by_label)) == labels
    assert [target.iscrowd for target in sample.targets if target.label is None] == [True]
    rows, columns = (slice(0, 30), slice(30, 60)), (slice(0, 40), slice(40, 80))
    for place, label in enumerate([*labels, None]):
        assert by_label[label][rows[place // 2], columns[place % 2]].all()
        assert by_label[label].sum() == 30 * 40


@LAYOUTS
def test_the_layout_is_known_by_its_list_of_names(tmp_path: Path, name: str, write: Callable[[Path], Path], labels: list[str]) -> None:
    assert detect_dataset_format(write(tmp_path / "set")) == name
    assert detect_dataset_format(tmp_path) is None


def test_things_and_stuff_are_told_apart(tmp_path: Path) -> None:
    coco, ade = write_coco_stuff(tmp_path / "coco"), write_ade20k(tmp_path / "ade")
    assert LabelMapFolder(coco).categories == (
        Category(1, "person"), Category(2, "bicycle"), Category(92, "banner", isthing=False), Category(93, "blanket", isthing=False),
    )  # fmt: skip
    assert [(one.name, one.isthing) for one in LabelMapFolder(ade).categories] == [
        ("wall", False), ("building", False), ("screen", True), ("CRT screen", True),
    ]  # fmt: skip


def test_one_split_can_be_read_alone(tmp_path: Path, read: Any) -> None:
    folder = write_coco_stuff(tmp_path / "set")
    assert {sample.split for sample in read("coco-stuff", folder).samples} == {"train2017", "val2017"}
    only = read("coco-stuff", folder, split="val2017").samples
    assert [(sample.split, sample.image) for sample in only] == [("val2017", f"val2017/{number:012}.jpg") for number in range(2)]
    with pytest.raises(DatasetReadError, match="no folder 'minival'; it has train2017, val2017"):
        read("coco-stuff", folder, split="minival")


def test_a_map_that_cannot_be_read_is_left_out_and_one_without_image_is_kept(tmp_path: Path, read: Any) -> None:
    folder = write_coco_stuff(tmp_path / "set")
    Image.fromarray(np.zeros((*SIZE_HW, 3), np.uint8)).save(folder / "annotations" / "val2017" / f"{0:012}.png")
    (folder / "annotations" / "train2017" / f"{0:012}.png").write_bytes(b"no picture")
    (folder / "images" / "val2017" / f"{1:012}.jpg").unlink()
    heard = read("coco-stuff", folder)
    assert heard.kinds == ["bad-png", "bad-png", "no-image"]
    assert [sample.image for sample in heard.samples] == [f"train2017/{1:012}.jpg", f"val2017/{1:012}.jpg"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param("", "lists no label", id="empty"),
        pytest.param("person\n", "holds no list of labels", id="without numbers"),
    ],
)
def test_a_list_of_names_that_is_none_is_refused(tmp_path: Path, names: str, message: str) -> None:
    folder = write_coco_stuff(tmp_path / "set")
    (folder / "labels.txt").write_text(names)
    with pytest.raises(DatasetReadError, match=message):
        LabelMapFolder(folder)


def test_a_table_without_its_columns_and_a_folder_of_another_kind_are_refused(tmp_path: Path) -> None:
    folder = write_ade20k(tmp_path / "set")
    (folder / "objectInfo150.txt").write_text("Idx\tName\n1\twall\n")
    with pytest.raises(DatasetReadError, match="lacks the columns Stuff"):
        LabelMapFolder(folder)
    with pytest.raises(DatasetReadError, match="is no set of label maps"):
        LabelMapFolder(tmp_path)
