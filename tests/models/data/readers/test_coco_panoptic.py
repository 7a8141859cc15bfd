"""COCO panoptic: colours of a PNG are segments, things and stuff alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.data.readers import DatasetReadError, detect_dataset_format
from models.data.sample import Category
from tests.refer_world import write_panoptic


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_panoptic(tmp_path / "panoptic_val2017.json")


def change(file: Path, **changes: Any) -> None:
    """Rewrite fields of the first annotation."""
    content = json.loads(file.read_text())
    content["annotations"][0].update(changes)
    file.write_text(json.dumps(content))


def test_segments_are_the_pixels_of_their_colour(file: Path, read: Any) -> None:
    heard = read("coco-panoptic", file)
    assert not heard.remarks
    assert heard.categories == (Category(1, "person"), Category(200, "sky", isthing=False))
    for number, sample in enumerate(heard.samples):
        colours = np.asarray(Image.open(file.with_suffix("") / f"{number:012}.png")).astype(int)
        ids = colours[..., 0] + 256 * colours[..., 1] + 256 * 256 * colours[..., 2]
        assert sample.split == "val"
        assert [(target.id, target.label) for target in sample.targets] == [(300 + number, "person"), (70_000 + number, "sky")]
        for target in sample.targets:
            np.testing.assert_array_equal(sample.mask_of([target.id]), ids == target.id)


def test_the_format_is_known_by_its_segments(file: Path) -> None:
    assert detect_dataset_format(file) == "coco-panoptic"


@pytest.mark.parametrize(
    ("changes", "kinds", "left"),
    [
        pytest.param({"segments_info": None}, ["bad-annotation"], 0, id="no list of segments"),
        pytest.param({"image_id": 77}, ["unknown-image"], 0, id="image is missing"),
        pytest.param({"file_name": "gone.png"}, ["bad-png"], 0, id="PNG is missing"),
        pytest.param({"file_name": "../panoptic_val2017.json"}, ["bad-png"], 0, id="path leads out"),
        pytest.param({"segments_info": [{"id": 300, "category_id": 1}]}, ["unknown-segment"], 1, id="segment not listed"),
        pytest.param({"segments_info": [{"id": [], "category_id": 1}, 7]}, ["empty-mask"] * 2 + ["unknown-segment"] * 2, 0, id="no ids"),
        pytest.param(
            {"segments_info": [{"id": 300, "category_id": []}, {"id": 300}, {"id": 70_000, "category_id": 200}]},
            ["unknown-category", "empty-mask"],
            2,
            id="unknown category, and one id twice",
        ),
    ],
)
def test_what_does_not_fit_is_told_and_the_rest_is_kept(file: Path, read: Any, changes: Any, kinds: list[str], left: int) -> None:
    change(file, **changes)
    heard = read("coco-panoptic", file)
    assert heard.kinds == kinds
    assert [len(sample.targets) for sample in heard.samples] == [left, 2]


@pytest.mark.parametrize("content", [b"no PNG", None], ids=["no PNG", "another size"])
def test_a_png_that_cannot_be_used_is_told(file: Path, read: Any, content: bytes | None) -> None:
    png = file.with_suffix("") / f"{0:012}.png"
    if content is None:
        Image.new("RGB", (5, 5)).save(png)
    else:
        png.write_bytes(content)
    heard = read("coco-panoptic", file)
    assert heard.kinds == ["bad-png"]
    assert png.name in heard.remarks[0].what


def test_without_the_folder_of_png_files_nothing_is_read(file: Path, read: Any) -> None:
    file.with_suffix("").rename(file.parent / "elsewhere")
    with pytest.raises(DatasetReadError, match="panoptic_val2017 is missing"):
        read("coco-panoptic", file)
