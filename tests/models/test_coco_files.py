"""Two COCO files against each other: any form of mask, and one clear sentence for every file that does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as mask_tools

from models.coco_files import CocoFileError, evaluate_coco_files
from models.masks import coco_rle_to_runs, mask_to_coco_rle
from tests.coco_world import LEFT, RIGHT, annotation, dataset
from tests.factories import make_mask

TRUTH = dataset([annotation(1, LEFT), annotation(2, RIGHT, 2)])


@pytest.fixture
def evaluate(tmp_path: Path) -> Any:
    def run(truth: Any, found: Any) -> dict[str, Any]:
        for name, content in (("truth", truth), ("found", found)):
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{name}.json").write_text(text)
        return evaluate_coco_files(tmp_path / "truth.json", tmp_path / "found.json")

    return run


def polygon(annotation: dict[str, Any]) -> dict[str, Any]:
    x0, y0, x1, y1 = LEFT if annotation["image_id"] == 1 else RIGHT
    return {**annotation, "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}


def uncompressed(annotation: dict[str, Any]) -> dict[str, Any]:
    runs = coco_rle_to_runs(annotation["segmentation"]).tolist()
    return {**annotation, "segmentation": {"size": annotation["segmentation"]["size"], "counts": runs}}


@pytest.mark.parametrize("form", [pytest.param(lambda one: one, id="compressed"), polygon, uncompressed])
def test_a_data_set_against_itself_is_perfect_in_any_form(evaluate, form):
    figures = evaluate(TRUTH, {**TRUTH, "annotations": [form(one) for one in TRUTH["annotations"]]})
    assert figures["stats"]["ap"] == pytest.approx(1.0)
    assert (figures["n_images"], figures["n_found"]) == (2, 2)


def test_results_are_a_list_with_scores(evaluate):
    assert evaluate(TRUTH, [annotation(1, LEFT, score=0.5)])["ap_by_label"] == {"dog": 1.0, "cat": 0.0}


def test_holes_of_a_mask_count(evaluate):
    mask = make_mask((64, 64), (0, 0, 40, 40))
    mask[10:30, 10:30] = False
    with_hole = annotation(1, LEFT, segmentation=mask_to_coco_rle(mask), area=int(mask.sum()))
    filled = annotation(1, (0, 0, 40, 40), score=1.0)
    assert evaluate(dataset([with_hole]), [filled])["stats"]["ap"] == pytest.approx(0.6), "IoU is 1200 / 1600"


def test_an_image_without_objects_needs_no_size(evaluate):
    truth = {**TRUTH, "images": [*TRUTH["images"], {"id": 3, "file_name": "empty.png"}]}
    assert evaluate(truth, truth)["stats"]["ap"] == pytest.approx(1.0)


def test_several_polygons_are_one_mask(evaluate):
    mask = make_mask((64, 64), LEFT) | make_mask((64, 64), RIGHT)
    both = {**annotation(1, LEFT), "segmentation": [polygon(TRUTH["annotations"][0])["segmentation"][0], [30, 2, 50, 2, 50, 20, 30, 20]]}
    assert mask_tools.area(mask_tools.encode(mask.astype("uint8", order="F"))) == mask.sum()
    truth = dataset([annotation(1, LEFT, segmentation=mask_to_coco_rle(mask))])
    assert evaluate(truth, [{**both, "score": 1.0}])["stats"]["ap"] == pytest.approx(1.0)


ONE = annotation(1, LEFT, score=1.0)


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        pytest.param("{", [ONE], r"truth.json is no JSON", id="broken JSON"),
        pytest.param([ONE], [ONE], r"truth.json is a list; the ground truth must be", id="results as ground truth"),
        pytest.param({"images": []}, [ONE], r"truth.json is no COCO data set .*categories", id="no categories"),
        pytest.param({**TRUTH, "images": [{"id": 1}]}, [ONE], "does not say the height and width", id="images without size"),
        pytest.param({**TRUTH, "images": [{}]}, [ONE], "no COCO data set .*'id'", id="images without id"),
        pytest.param(TRUTH, [{**ONE, "image_id": 7}], r"annotation  of image 7: the ground truth has no such image", id="other image"),
        pytest.param(TRUTH, [{**ONE, "category_id": 7}], r"has no category 7; it has 1 dog, 2 cat", id="other category"),
        pytest.param(TRUTH, [{"image_id": 1}], "an annotation lacks 'category_id'", id="no category"),
        pytest.param(TRUTH, ["dog"], "an annotation lacks", id="no annotation at all"),
        pytest.param(TRUTH, [annotation(1, LEFT)], "result 0 has no score", id="results without score"),
        pytest.param(
            TRUTH,
            [{**ONE, "segmentation": {"size": [32, 64], "counts": "0"}}],
            r"the mask is \[32, 64\], the image \[64, 64\]",
            id="other size",
        ),
        pytest.param(TRUTH, [{**ONE, "segmentation": {"size": [64, 64], "counts": "04"}}], "must add up to", id="corrupt code"),
        pytest.param(TRUTH, [{**ONE, "segmentation": {"size": [64, 64], "counts": [1, 2]}}], "must add up to", id="runs too short"),
        pytest.param(TRUTH, [{**ONE, "segmentation": [[1, 2, 3, 4]]}], "at least three corners", id="two corners"),
        pytest.param(TRUTH, [{**ONE, "segmentation": [[0, 0, 1e9, 0, 0, 9]]}], "on or near the image", id="endless polygon"),
        pytest.param(TRUTH, [{**ONE, "segmentation": [["a"] * 6]}], "cannot be read", id="corners of text"),
        pytest.param(TRUTH, [{**ONE, "segmentation": None}], "cannot be read", id="no mask"),
        pytest.param(
            TRUTH,
            {**TRUTH, "images": [{"id": 1, "file_name": "other.png"}]},
            r"image 1 is 'other.png', in the ground truth '1.png'",
            id="ids",
        ),
        pytest.param(
            TRUTH, {**TRUTH, "categories": [{"id": 1, "name": "cow"}]}, "category 1 is 'cow', in the ground truth 'dog'", id="names"
        ),
    ],
)
def test_what_does_not_fit_is_named(evaluate, truth, found, message):
    with pytest.raises(CocoFileError, match=message):
        evaluate(truth, found)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CocoFileError, match=r"cannot read .*truth.json: No such file"):
        evaluate_coco_files(tmp_path / "truth.json", tmp_path / "found.json")
