"""COCO files of an export, read by COCO's own tools: the very masks, every category, every image."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from backend.label_plan import OutputControl, OutputKind
from backend.regions import region_to_mask, segment_to_regions
from models import Segment, coco_rle_to_mask, mask_to_coco_rle
from tests.export_factories import (
    annotated,
    bitmask_region,
    brush_region,
    export,
    read_json,
    ring_and_island,
    shape_region,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools

SIZE = (33, 47)
POLYGON = {"points": [[10, 10], [90.5, 20], [60, 93], [12, 70]], "closed": True}
RECTANGLE = {"x": 20, "y": 10, "width": 40, "height": 30, "rotation": 15}
ELLIPSE = {"x": 50, "y": 50, "radiusX": 30, "radiusY": 20, "rotation": 30}


def every_kind() -> list[dict[str, Any]]:
    mask = ring_and_island(SIZE)
    return [
        brush_region(mask, "brush"),
        bitmask_region(mask, "bitmask"),
        shape_region("polygon", POLYGON, SIZE, "polygon"),
        shape_region("rectangle", RECTANGLE, SIZE, "rectangle"),
        shape_region("ellipse", ELLIPSE, SIZE, "ellipse"),
    ]


def load(folder: Path, name: str = "instances.json") -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(folder / name))


def test_every_kind_of_region_is_one_annotation_with_its_very_pixels(tmp_path: Path) -> None:
    regions = every_kind()
    folder, _, findings = export(tmp_path, [annotated(7, regions)])
    coco = load(folder)
    assert [annotation["attributes"]["region_id"] for annotation in coco.dataset["annotations"]] == [region["id"] for region in regions]
    for region, annotation in zip(regions, coco.dataset["annotations"], strict=True):
        mask = region_to_mask(region, SIZE)
        assert np.array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["iscrowd"] == 0
    assert not findings.counts


def test_categories_are_those_of_the_config_in_its_order_unused_ones_too(tmp_path: Path) -> None:
    folder, _, _ = export(tmp_path, [annotated(7, [bitmask_region(ring_and_island())])])
    coco = load(folder)
    assert [(c["id"], c["name"]) for c in coco.dataset["categories"]] == [(1, "Dog"), (2, "Cat"), (3, "Cow")]
    assert coco.dataset["annotations"][0]["category_id"] == 2


def test_images_are_named_by_their_task_and_negatives_stay(tmp_path: Path) -> None:
    tasks = [annotated(7, [brush_region(ring_and_island())]), annotated(4, []), annotated(9, [], annotations=[])]
    folder, summary, findings = export(tmp_path, tasks)
    images = read_json(folder / "instances.json")["images"]
    assert [(image["id"], image["file_name"]) for image in images] == [(7, "upload/1/7.png"), (4, "upload/1/4.png")]
    assert (images[0]["width"], images[0]["height"]) == (47, 33)
    assert (summary.images, summary.negatives) == (2, 1)
    assert "task 9: the task has no annotation that counts" in " ".join(findings.lines())


def test_attributes_tell_where_a_mask_is_from(tmp_path: Path) -> None:
    region = brush_region(ring_and_island(), score=0.75, origin="prediction-changed", meta={"text": ["the brown dog"]})
    folder, _, _ = export(tmp_path, [annotated(7, [region])])
    assert read_json(folder / "instances.json")["annotations"][0]["attributes"] == {
        "source": "annotation",
        "annotation_id": 107,
        "region_id": "r1",
        "score": 0.75,
        "annotator": 3,
        "origin": "prediction-changed",
        "text": ["the brown dog"],
    }


def test_predictions_are_exported_with_their_scores_and_beside_annotations(tmp_path: Path) -> None:
    prediction = {"id": 5, "result": [brush_region(ring_and_island(), score=0.5)], "score": 0.25, "model_version": "v1"}
    task = annotated(7, [brush_region(ring_and_island())], predictions=[prediction])
    folder, _, _ = export(tmp_path, [task], convert={"source": "both"})
    own, predicted = (found["attributes"] for found in read_json(folder / "instances.json")["annotations"])
    assert own["source"] == "annotation"
    assert (predicted["source"], predicted["prediction_id"], predicted["score"]) == ("prediction", 5, 0.5)
    assert (predicted["prediction_score"], predicted["model_version"]) == (0.25, "v1")


@pytest.mark.parametrize("polygons", [False, True], ids=["run-length codes", "outlines"])
def test_an_export_evaluated_against_itself_is_perfect(tmp_path: Path, polygons: bool) -> None:
    rng = np.random.default_rng(0)
    tasks = [
        annotated(n, [brush_region(rng.random(SIZE) < 0.5 if n == 3 else np.roll(ring_and_island(SIZE), n, axis=1))]) for n in (1, 2, 3)
    ]
    folder, _, _ = export(tmp_path, tasks, convert={"polygons": polygons})
    truth = load(folder)
    results = [{**annotation, "score": 0.5} for annotation in truth.dataset["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_crowds_are_marked_on_request_only(tmp_path: Path) -> None:
    tasks = [annotated(7, [brush_region(ring_and_island(), "a"), brush_region(ring_and_island(), "b", ["Cow"])])]
    folder, _, _ = export(tmp_path, tasks, convert={"crowd_labels": ("Cow",)})
    assert [found["iscrowd"] for found in read_json(folder / "instances.json")["annotations"]] == [0, 1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_any_mask_comes_through_region_and_export_unchanged(tmp_path: Path, mask: Any) -> None:
    if not mask.any():
        mask[0, 0] = True
    folder, _, findings = export(tmp_path, [annotated(1, [brush_region(mask, "a"), bitmask_region(mask, "b")])])
    for annotation in read_json(folder / "instances.json")["annotations"]:
        assert np.array_equal(coco_mask.decode(annotation["segmentation"]), mask)
    assert not findings.counts


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20)))
@pytest.mark.parametrize("kind", ["brush", "bitmask"])
def test_coco_to_label_studio_and_back_is_the_identity(tmp_path: Path, kind: OutputKind, mask: Any) -> None:
    if not mask.any():
        return
    code = mask_to_coco_rle(mask)
    control = OutputControl(kind, kind, "image", (), f"{kind.capitalize()}Labels")
    regions = segment_to_regions(Segment("", coco_rle_to_mask(code), 1.0), control, "Cat", prompt=None)
    folder, _, _ = export(tmp_path, [annotated(1, regions)])
    assert [found["segmentation"] for found in read_json(folder / "instances.json")["annotations"]] == [code]


def test_the_same_tasks_give_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path) -> None:
    tasks = [annotated(n, [*every_kind(), {"type": "choices", "value": {"choices": ["a"]}}]) for n in range(1, 40)]
    tasks.insert(3, annotated(1, []))
    folders = [export(tmp_path, tasks, name=f"p{processes}", processes=processes)[0] for processes in (1, 2, 3)]
    for name in ("instances.json", "report.json"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
