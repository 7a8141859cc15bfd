"""Everything that data can have wrong, with the line that the report then holds; what is right beside it is always exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import BadRequest
from backend.export.convert import convert_task
from backend.export.label_scheme import read_scheme
from backend.export.records import ConvertOptions, PreparedTask
from backend.export.run import ExportBroken, ExportJob, run_export
from backend.export.schemes import scheme_of_file
from backend.export.task_file import pack_rle
from backend.findings import FirstFindingStops
from tests.export_factories import (
    CONFIG,
    NoFiles,
    annotated,
    bitmask_region,
    brush_region,
    export,
    read_json,
    ring_and_island,
    shape_region,
)

SIZE = (33, 47)
MASK = ring_and_island(SIZE)
BOW_TIE = {"points": [[10, 10], [90, 90], [90, 10], [10, 90]]}
SQUARE = {"points": [[10, 10], [50, 10], [50, 50], [10, 50]]}


def bad(**changes: Any) -> dict[str, Any]:
    """A brush region called ``bad``, with something changed."""
    return brush_region(MASK, "bad") | changes


def with_value(region: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return region | {"value": region["value"] | changes}


def cut_short(region: dict[str, Any]) -> dict[str, Any]:
    return with_value(region, rle=region["value"]["rle"][:30])


LEFT_OUT = [
    pytest.param(cut_short(bad()), "unreadable", "ends before the image's last pixel", id="brush cut short"),
    pytest.param(with_value(bad(), rle="AAAA"), "unreadable", "a str", id="brush as text"),
    pytest.param(with_value(bad(), rle=[0, 0, 300]), "unreadable", "above 255", id="numbers that are no bytes"),
    pytest.param(with_value(bad(), rle=[]), "unreadable", "too short", id="brush of nothing"),
    pytest.param(bad(value=None), "no-label", "has no label", id="no value"),
    pytest.param(with_value(bad(type="bitmasklabels"), imageDataURL="data:,x"), "no-label", "no label", id="labels of another type"),
    pytest.param(bitmask_region(MASK, "bad") | {"value": {"bitmasklabels": ["Cat"]}}, "unreadable", "imageDataURL", id="no bitmask"),
    pytest.param(shape_region("polygon", {"points": [[0, 0], [1, 1]]}, SIZE, "bad"), "unreadable", "found 2", id="two points"),
    pytest.param(shape_region("polygon", {"points": [[9, 9]] * 3}, SIZE, "bad"), "empty-mask", "no pixel", id="no area"),
    pytest.param(shape_region("rectangle", {"x": 5, "y": 5, "width": 0, "height": 9}, SIZE, "bad"), "empty-mask", "pixel", id="no width"),
    pytest.param(shape_region("polygon", {"points": [[150, 0], [190, 0], [190, 9]]}, SIZE, "bad"), "empty-mask", "no pixel", id="outside"),
    pytest.param(brush_region(np.zeros(SIZE, np.bool_), "bad"), "empty-mask", "covers no pixel", id="an empty brush"),
    pytest.param(brush_region(MASK, "bad", ["Horse"]), "unknown-label", "'Horse' is not in", id="an unknown label"),
    pytest.param(brush_region(MASK, "bad", []), "no-label", "has no label", id="no label"),
    pytest.param(bad(to_name="photo"), "unknown-image", "no image 'photo'", id="another image"),
]


@pytest.mark.parametrize(("region", "kind", "message"), LEFT_OUT)
def test_a_region_that_cannot_be_used_is_told_with_its_ids_and_the_others_are_written(
    tmp_path: Path, region: dict[str, Any], kind: str, message: str
) -> None:
    good = brush_region(MASK, "good")
    folder, _, findings = export(tmp_path, [annotated(7, [good, region, brush_region(MASK, "good too")])])
    written = [found["attributes"]["region_id"] for found in read_json(folder / "instances.json")["annotations"]]
    assert written == ["good", "good too"]
    errors = [found for found in read_json(folder / "report.json")["findings"] if found["severity"] == "error"]
    assert [(found["task"], found["annotation"], found["region"], found["kind"]) for found in errors] == [(7, 107, "bad", kind)]
    assert message in errors[0]["what"]
    assert findings.lost_something


CHANGED = [
    pytest.param(bad(original_width=94, original_height=66), "other-size", id="twice the size"),
    pytest.param({key: value for key, value in bad().items() if not key.startswith("original")}, "other-size", id="no size"),
    pytest.param(bad(original_width="47"), "other-size", id="a size as text"),
    pytest.param(shape_region("polygon", BOW_TIE, SIZE, "bad"), "self-crossing", id="an outline that crosses itself"),
    pytest.param(shape_region("polygon", {"points": [[-9, 10], [90, 10], [50, 90]]}, SIZE, "bad"), "outside", id="a polygon half outside"),
    pytest.param(shape_region("rectangle", {"x": 90, "y": 5, "width": 30, "height": 9}, SIZE, "bad"), "outside", id="a box half outside"),
    pytest.param(
        shape_region("ellipse", {"x": 90, "y": 50, "radiusX": 20, "radiusY": 9}, SIZE, "bad"), "outside", id="an ellipse half outside"
    ),
    pytest.param(brush_region(MASK, "bad", ["Dog", "Horse"]), "unknown-label", id="a known and an unknown label"),
    pytest.param(brush_region(MASK, "bad", ["Dog", "Cat"]), "two-labels", id="two labels"),
]


@pytest.mark.parametrize(("region", "kind"), CHANGED)
def test_a_region_that_is_odd_is_written_with_a_warning(tmp_path: Path, region: dict[str, Any], kind: str) -> None:
    folder, _, findings = export(tmp_path, [annotated(7, [brush_region(MASK, "good"), region])])
    assert len(read_json(folder / "instances.json")["annotations"]) == 2
    told = [(found["severity"], found["kind"], found["region"]) for found in read_json(folder / "report.json")["findings"]]
    assert told == [("warning", kind, "bad")]
    assert not findings.lost_something


def test_sizes_that_lie_do_not_outvote_a_brush_that_knows_its_pixels(tmp_path: Path) -> None:
    liars = [shape_region("rectangle", {"x": 10, "y": 10, "width": 50, "height": 50}, (480, 640), f"r{n}") for n in range(3)]
    folder, _, findings = export(tmp_path, [annotated(7, [*liars, brush_region(MASK, "brush")])])
    image = read_json(folder / "instances.json")["images"][0]
    assert (image["height"], image["width"]) == SIZE
    assert findings.counts == {("warning", "other-size"): 3}


def test_an_image_whose_size_nothing_tells_stays_without_one(tmp_path: Path) -> None:
    folder, _, findings = export(tmp_path, [annotated(7, [])])
    assert read_json(folder / "instances.json")["images"][0].keys() == {"id", "file_name", "coco_url", "attributes"}
    assert findings.counts == {("warning", "no-file"): 1, ("warning", "no-size"): 1}


def test_a_size_that_would_take_all_memory_is_refused(tmp_path: Path) -> None:
    bomb = {**bad(original_width=1_000_000, original_height=1_000_000)}
    bomb["value"] = {"x": 0, "y": 0, "width": 9, "height": 9, "rectanglelabels": ["Dog"]}
    folder, _, findings = export(tmp_path, [annotated(7, [bomb | {"type": "rectanglelabels"}])])
    assert findings.counts["error", "no-size"] == 1
    assert read_json(folder / "instances.json")["annotations"] == []


def test_two_labels_on_one_region_are_one_annotation_that_names_both(tmp_path: Path) -> None:
    once = brush_region(MASK, "r1", ["Cow", "Dog"])
    twice = [brush_region(MASK, "r2", ["Cow"]), brush_region(MASK, "r2", ["Dog"], from_name="other")]
    folder, _, _ = export(tmp_path, [annotated(7, [once, *twice])])
    written = read_json(folder / "instances.json")["annotations"]
    assert [(found["category_id"], found["attributes"]["other_labels"]) for found in written] == [(3, ["Dog"]), (3, ["Dog"])]


def test_two_regions_with_one_id_are_both_written(tmp_path: Path) -> None:
    regions = [brush_region(MASK, "r1"), brush_region(~MASK, "r1")]
    folder, _, findings = export(tmp_path, [annotated(7, regions)])
    assert len(read_json(folder / "instances.json")["annotations"]) == 2
    assert findings.counts == {("warning", "same-id"): 1}


def test_labels_of_a_labels_tag_belong_to_the_shape_of_their_id(tmp_path: Path) -> None:
    config = """<View><Image name="image" value="$image"/><Labels name="labels" toName="image"><Label value="Cow"/></Labels>
    <Brush name="brush" toName="image"/></View>"""
    shape = brush_region(MASK, "r1") | {"type": "brush"}
    label = {"id": "r1", "type": "labels", "from_name": "labels", "to_name": "image", "value": {"labels": ["Cow"]}}
    folder, _, findings = export(tmp_path, [annotated(7, [shape, label])], config=config)
    assert [found["category_id"] for found in read_json(folder / "instances.json")["annotations"]] == [1]
    assert not findings.counts


def test_a_control_without_labels_is_a_category_of_its_own(tmp_path: Path) -> None:
    config = '<View><Image name="image" value="$image"/><Brush name="stroke" toName="image"/></View>'
    shape = brush_region(MASK, "r1") | {"type": "brush", "from_name": "stroke"}
    folder, _, _ = export(tmp_path, [annotated(7, [shape])], config=config)
    written = read_json(folder / "instances.json")
    assert [category["name"] for category in written["categories"]] == ["stroke"]
    assert len(written["annotations"]) == 1


def test_what_is_no_mask_is_told_as_a_note(tmp_path: Path) -> None:
    others = [
        {"id": "p", "type": "keypointlabels", "to_name": "image", "value": {"x": 1, "y": 1, "keypointlabels": ["Dog"]}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"id": "t", "type": "textarea", "value": {"text": ["a dog"]}},
        {"id": "l", "type": "labels", "value": {"labels": ["Dog"]}},
    ]
    _, _, findings = export(tmp_path, [annotated(7, [*others, brush_region(MASK)])])
    assert findings.counts == {("note", "not-a-mask"): 4}


def test_a_closed_vector_is_a_mask_that_is_lost(tmp_path: Path) -> None:
    vector = {"id": "bad", "type": "vectorlabels", "to_name": "image", "value": {"closed": True, "vertices": [], "vectorlabels": ["Dog"]}}
    _, _, findings = export(tmp_path, [annotated(7, [vector, vector | {"value": {"closed": False}}])])
    assert findings.counts == {("error", "vector"): 1, ("note", "not-a-mask"): 1, ("warning", "no-file"): 1, ("warning", "no-size"): 1}


@pytest.mark.parametrize("entry", [None, 5, "brush", []], ids=str)
def test_an_entry_that_is_no_object_is_told_by_its_place(tmp_path: Path, entry: Any) -> None:
    _, summary, findings = export(tmp_path, [annotated(7, [brush_region(MASK), entry])])
    assert summary.masks == 1
    assert "task 7, annotation 107, entry 1: expected an object" in findings.lines()[0]


TASKS = [
    pytest.param(5, "no-task", id="a number"),
    pytest.param(None, "no-task", id="null"),
    pytest.param({"id": 8}, "no-task", id="no data"),
    pytest.param(annotated(8, []) | {"id": "8"}, "no-task-id", id="an id that is text"),
    pytest.param(annotated(7, []), "same-task", id="a task twice"),
    pytest.param(annotated(8, [], data={"text": "no image"}), "no-image", id="a task without an image"),
    pytest.param(annotated(8, [], annotations=[17]), "no-objects", id="ids in place of annotations"),
]


@pytest.mark.parametrize(("task", "kind"), TASKS)
def test_a_task_that_cannot_be_used_is_told_and_the_others_are_written(tmp_path: Path, task: Any, kind: str) -> None:
    _, summary, findings = export(tmp_path, [annotated(7, [brush_region(MASK)]), task, annotated(9, [brush_region(MASK)])])
    assert summary.masks == 2
    assert findings.counts["error", kind] == 1


def test_a_file_that_breaks_off_gives_the_tasks_before_that(tmp_path: Path) -> None:
    text = json.dumps([annotated(n, [brush_region(MASK)]) for n in (1, 2, 3)])
    path = tmp_path / "broken.json"
    path.write_text(text[: len(text) * 3 // 4], encoding="utf-8")
    summary, findings = run_export(ExportJob(path, ConvertOptions(read_scheme(CONFIG).scheme), tmp_path / "out", NoFiles()))
    assert summary.masks == 2
    assert "the file is damaged behind 2 tasks" in findings.lines()[0]


def test_a_mistake_of_ours_costs_its_task_and_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tasks = [annotated(7, [brush_region(MASK)]), annotated(8, [], annotations=[])]
    _, summary, findings = export(tmp_path, tasks, convert={"max_pixels": "many"})  # fails where the first image's size is compared
    assert summary.tasks == 2
    assert findings.counts == {("error", "unexpected"): 1, ("note", "not-reviewed"): 1}
    assert "TypeError" in caplog.text


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ExportBroken, match="broke off"):
        export(tmp_path, [annotated(7, [brush_region(MASK)])], name="file/out")


def test_strict_stops_at_the_first_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FirstFindingStops, match="task 7, annotation 107, region bad"):
        export(tmp_path, [annotated(7, [brush_region(MASK), cut_short(bad())]), annotated(8, [bad()])], strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.json"]


NO_EXPORTS = [
    pytest.param("", id="empty"),
    pytest.param('"text"', id="a text"),
    pytest.param("<html>", id="a page"),
    pytest.param(None, id="nothing there"),
]


@pytest.mark.parametrize("content", NO_EXPORTS)
def test_what_is_no_export_file_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tasks.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(BadRequest, match="export"):
        scheme_of_file(path, None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_region_ends_in_a_mask_or_a_finding(data: st.DataObject) -> None:
    region = data.draw(st.sampled_from([param.values[0] for param in CHANGED + LEFT_OUT]))
    region = json.loads(json.dumps(region))
    keys = [*region, "item_index", "score", "meta", "origin"]
    for key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3)):
        region[key] = data.draw(JSON_VALUES)
    if isinstance(region.get("value"), dict) and region["value"]:
        region["value"][data.draw(st.sampled_from(sorted(region["value"])))] = data.draw(JSON_VALUES)
    task = pack_rle(annotated(7, [region]))
    record = convert_task(PreparedTask(task), ConvertOptions(read_scheme(CONFIG).scheme, max_pixels=1_000_000))
    assert len(record.masks) == 1 or any(finding.severity != "warning" for finding in record.findings)
    json.dumps([(mask.segmentation, mask.attributes) for mask in record.masks], allow_nan=False)
    assert all(str(finding).isprintable() for finding in record.findings)
