"""Panoptic and semantic PNG and YOLO files: read back pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from backend.shapes import polygon_to_mask
from tests.export_factories import annotated, brush_region, export, read_json, ring_and_island

SIZE = (33, 47)


def box_mask(left: int, right: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(SIZE, dtype=np.bool_)
    mask[:, left:right] = True
    return mask


def overlapping() -> list[dict[str, Any]]:
    return [brush_region(box_mask(0, 20), "low", ["Dog"]), brush_region(box_mask(15, 30), "top", ["Cow"])]


def test_panoptic_pixels_hold_the_number_of_their_segment(tmp_path: Path) -> None:
    folder, _, findings = export(tmp_path, [annotated(7, overlapping())], convert={"format": "panoptic"})
    written = read_json(folder / "panoptic.json")
    (annotation,) = written["annotations"]
    colours = np.asarray(Image.open(folder / "panoptic" / annotation["file_name"])).astype(np.int64)
    numbers = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    low, top = annotation["segments_info"]
    assert np.array_equal(numbers == low["id"], box_mask(0, 15))
    assert np.array_equal(numbers == top["id"], box_mask(15, 30))
    assert (low["category_id"], low["area"], low["bbox"]) == (1, 15 * 33, [0, 0, 15, 33])
    assert top["category_id"] == 3
    assert findings.counts == {("warning", "overlap"): 1}


def test_a_segment_that_others_cover_whole_is_told(tmp_path: Path) -> None:
    regions = [brush_region(box_mask(5, 9), "hidden"), brush_region(box_mask(0, 30), "top", ["Cow"])]
    folder, _, findings = export(tmp_path, [annotated(7, regions)], convert={"format": "panoptic"})
    assert len(read_json(folder / "panoptic.json")["annotations"][0]["segments_info"]) == 1
    assert "region hidden: all its pixels lie under other masks" in findings.lines()[0]
    assert findings.lost_something


def test_semantic_pixels_hold_the_category(tmp_path: Path) -> None:
    folder, _, _ = export(tmp_path, [annotated(7, overlapping())], convert={"format": "semantic"})
    (image,) = read_json(folder / "semantic.json")["images"]
    pixels = np.asarray(Image.open(folder / image["mask_file"]))
    expected = np.where(box_mask(15, 30), 3, np.where(box_mask(0, 15), 1, 0))
    assert np.array_equal(pixels, expected)


def test_more_than_255_categories_take_16_bits(tmp_path: Path) -> None:
    labels = "".join(f'<Label value="label {number}"/>' for number in range(300))
    config = f'<View><Image name="image" value="$image"/><BrushLabels name="b" toName="image">{labels}</BrushLabels></View>'
    tasks = [annotated(7, [brush_region(box_mask(0, 20), labels=["label 299"])])]
    folder, _, _ = export(tmp_path, tasks, config=config, convert={"format": "semantic"})
    assert np.asarray(Image.open(folder / "masks" / "7-7.png")).max() == 300


def test_yolo_has_one_line_per_region_that_covers_its_pixels_holes_and_islands_too(tmp_path: Path) -> None:
    mask = ring_and_island(SIZE)
    tasks = [annotated(7, [brush_region(mask, "a", ["Cow"]), brush_region(box_mask(3, 9), "b")]), annotated(8, [brush_region(mask)])]
    folder, _, _ = export(tmp_path, tasks, convert={"format": "yolo"})
    lines = (folder / "labels" / "7-7.txt").read_text(encoding="ascii").splitlines()
    assert [line.split()[0] for line in lines] == ["2", "0"]
    shares = np.array(lines[0].split()[1:], dtype=np.float64).reshape(-1, 2)
    assert np.array_equal(polygon_to_mask((shares * [47, 33]).round(3), SIZE), mask)
    assert read_json(folder / "data.yaml")["names"] == {"0": "Dog", "1": "Cat", "2": "Cow"}
    assert (folder / "train.txt").read_text(encoding="utf-8") == "./upload/1/7.png\n./upload/1/8.png\n"


def test_yolo_keeps_negatives_as_empty_files(tmp_path: Path) -> None:
    prediction = {"id": 1, "result": [brush_region(ring_and_island(SIZE), labels=["Horse"])]}
    folder, _, _ = export(
        tmp_path, [annotated(7, [], annotations=[], predictions=[prediction])], convert={"format": "yolo", "source": "predictions"}
    )
    assert (folder / "labels" / "7-7.txt").read_bytes() == b""


@pytest.mark.parametrize("format_name", ["panoptic", "semantic", "yolo"])
def test_the_same_tasks_give_the_same_files(tmp_path: Path, format_name: str) -> None:
    tasks = [annotated(number, overlapping()) for number in range(1, 12)]
    folders = [
        export(tmp_path, tasks, name=f"p{processes}", processes=processes, convert={"format": format_name})[0] for processes in (1, 2)
    ]
    files = [{path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in folders]
    assert files[0] == files[1]
    assert len(files[0]) > 11
