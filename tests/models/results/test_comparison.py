"""Comparing two evaluations: known differences, intervals as the textbook has them, and refusal of what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.instance_metrics import evaluate_instances
from models.label_evaluation import match_to_json
from models.results.comparison import compare_results
from models.results.document import Results, ResultsError, RowWriter, save_results
from models.results.rows import ExpressionRow
from models.results.tables import comparison_tables
from tests.coco_world import LEFT, RIGHT, annotation, dataset
from tests.evaluation_world import make_results, make_row


def save(folder: Path, name: str, lines: list[dict[str, Any]], **fields: Any) -> Results:
    path = folder / f"{name}.json"
    with RowWriter(path) as writer:
        for line in lines:
            writer.add(line)
        return save_results(path, make_results(**fields, rows=writer.close()))


def save_words(folder: Path, name: str, rows: list[ExpressionRow]) -> Results:
    return save(folder, name, [row.to_json() for row in rows], referring={"clean": {}})


def rows_with_hits(hits: list[int], **fields: Any) -> list[ExpressionRow]:
    """One expression per image; of 100 predicted and 100 true pixels so many are shared."""
    return [make_row((hit, 100, 100), image=f"{number}.png", **fields) for number, hit in enumerate(hits)]


def test_an_evaluation_does_not_differ_from_itself(tmp_path):
    results = save_words(tmp_path, "a", rows_with_hits([10, 30, 50, 70, 90]))
    row = compare_results(results, results).figures["referring"]["clean"]["by_kind"]["all"]["miou"]
    assert (row["difference"], row["interval"], row["verdict"]) == (0.0, [0.0, 0.0], "unclear")


def test_the_same_gain_on_every_image_is_certain_however_hard_the_images_are(tmp_path):
    before, after = [0, 20, 40, 60, 80], [5, 25, 45, 65, 85]
    a, b = save_words(tmp_path, "a", rows_with_hits(before)), save_words(tmp_path, "b", rows_with_hits(after))
    row = compare_results(a, b).figures["referring"]["clean"]["by_kind"]["all"]["miou"]
    ious = [np.mean([hit / (200 - hit) for hit in hits]) for hits in (before, after)]
    assert row["difference"] == pytest.approx(ious[1] - ious[0], abs=1e-4)
    assert row["verdict"] == "better"
    assert compare_results(b, a).figures["referring"]["clean"]["by_kind"]["all"]["miou"]["verdict"] == "worse"


def test_the_interval_is_that_of_a_mean_of_paired_differences(tmp_path):
    random = np.random.default_rng(0)
    before = random.integers(20, 80, 400)
    after = before + random.integers(-15, 20, 400)
    a, b = save_words(tmp_path, "a", rows_with_hits(before.tolist())), save_words(tmp_path, "b", rows_with_hits(after.tolist()))
    low, high = compare_results(a, b).figures["referring"]["clean"]["by_kind"]["all"]["miou"]["interval"]
    gains = after / (200 - after) - before / (200 - before)
    half = 1.96 * gains.std() / np.sqrt(gains.size)
    assert (low, high) == (pytest.approx(gains.mean() - half, abs=0.2 * half), pytest.approx(gains.mean() + half, abs=0.2 * half))


def test_kinds_and_labels_are_compared_apart(tmp_path):
    first = [*rows_with_hits([50, 60], kind="name", labels=("dog",)), *rows_with_hits([50, 60], kind="size", labels=(), place=1)]
    second = [*rows_with_hits([50, 60], kind="name", labels=("dog",)), *rows_with_hits([90, 95], kind="size", labels=(), place=1)]
    tables = compare_results(save_words(tmp_path, "a", first), save_words(tmp_path, "b", second)).figures["referring"]["official"]
    assert tables["by_kind"]["name"]["miou"]["difference"] == 0.0
    assert tables["by_kind"]["size"]["miou"]["difference"] > 0.3
    assert list(tables["by_label"]) == ["dog"]
    assert tables["by_kind"]["name"]["n_acc"] == {"a": None, "b": None, "difference": None, "interval": None, "verdict": None}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param(rows_with_hits([1, 2]), r"has 3 expressions, .* has 2; only .*a.json has 'dog' on 2.png", id="one missing"),
        pytest.param(rows_with_hits([1, 2, 3, 4]), r"only .*b.json has 'dog' on 3.png", id="one more"),
        pytest.param(rows_with_hits([1, 2, 3], text="cat"), r"expression 0 on 0.png is 'dog' .* and 'cat'", id="other words"),
        pytest.param(
            [make_row((1, 100, 90), image=f"{number}.png") for number in range(3)], r"\(100 pixels\) .* \(90 pixels\)", id="other masks"
        ),
    ],
)
def test_other_samples_are_refused_and_named(tmp_path, other, message):
    a, b = save_words(tmp_path, "a", rows_with_hits([1, 2, 3])), save_words(tmp_path, "b", other)
    with pytest.raises(ResultsError, match=f"the samples differ: .*{message}.*; evaluate both on the same data"):
        compare_results(a, b)


def test_evaluations_of_different_tasks_are_refused(tmp_path):
    a, b = save_words(tmp_path, "a", rows_with_hits([1])), save(tmp_path, "b", [], semantic={"labels": []})
    with pytest.raises(ResultsError, match="no task in common"):
        compare_results(a, b)


def save_pixels(folder: Path, name: str, pairs: dict[str, list[list[int]]], labels: list[str] | None = None) -> Results:
    lines = [{"task": "semantic", "image": image, "pairs": triples} for image, triples in pairs.items()]
    return save(folder, name, lines, semantic={"labels": labels or ["road", "sky"]})


PIXELS = {"a": [[1, 1, 10], [2, 0, 5], [2, 2, 5], [0, 0, 9]], "b": [[1, 1, 4], [1, 2, 6], [0, 0, 9]]}


def test_labels_are_compared_by_pixel(tmp_path):
    better = {"a": [[1, 1, 10], [2, 2, 10], [0, 0, 9]], "b": [[1, 1, 4], [1, 2, 6], [0, 0, 9]]}
    a, b = save_pixels(tmp_path, "a", PIXELS), save_pixels(tmp_path, "b", better)
    scores = compare_results(a, b).figures["semantic"]["mess"]
    assert scores["iou"]["sky"]["a"] == pytest.approx(5 / 16, abs=1e-4)
    assert scores["iou"]["sky"]["b"] == pytest.approx(10 / 16, abs=1e-4)
    assert scores["iou"]["road"]["difference"] == 0.0
    assert scores["miou"]["difference"] == pytest.approx(5 / 32, abs=1e-4)
    assert scores["pixel_accuracy"]["b"] == pytest.approx(24 / 30, abs=1e-4)


@pytest.mark.parametrize(
    ("pairs", "labels", "message"),
    [
        pytest.param({"a": PIXELS["a"]}, None, r"has 2 images, .* has 1; only .*a.json has b", id="an image missing"),
        pytest.param({**PIXELS, "b": [[1, 1, 11], [0, 0, 9]]}, None, "other masks in their ground truth", id="other masks"),
        pytest.param(PIXELS, ["road", "sea"], "were asked for other labels", id="other labels"),
    ],
)
def test_labels_of_other_data_are_refused(tmp_path, pairs, labels, message):
    a, b = save_pixels(tmp_path, "a", PIXELS), save_pixels(tmp_path, "b", pairs, labels)
    with pytest.raises(ResultsError, match=message):
        compare_results(a, b)


def save_objects(folder: Path, name: str, found: list[dict[str, Any]]) -> Results:
    truth = dataset([annotation(1, LEFT), annotation(2, RIGHT)])
    scores, matches = evaluate_instances(truth, found)
    lines = [match_to_json(match, f"{match.image_id}.png") for match in matches]
    lines += [{"task": "instance_image", "image": f"{number}.png", "id": number} for number in (1, 2)]
    return save(folder, name, lines, instances={"stats": scores.stats})


def test_objects_are_compared_by_average_precision(tmp_path):
    one = save_objects(tmp_path, "a", [annotation(1, LEFT, score=0.9)])
    both = save_objects(tmp_path, "b", [annotation(1, LEFT, score=0.9), annotation(2, RIGHT, score=0.8)])
    row = compare_results(one, both).figures["instances"]["ap"]
    assert (row["a"], row["b"]) == (pytest.approx(51 / 101, abs=1e-4), pytest.approx(1.0, abs=1e-4))
    assert row["difference"] == pytest.approx(50 / 101, abs=1e-4)
    assert (row["interval"], row["verdict"]) == (None, "unclear"), "two images are too few to tell"


def test_many_images_tell_how_sure_a_difference_of_average_precision_is(tmp_path):
    boxes = [LEFT, RIGHT] * 5
    truth = dataset([annotation(image, box) for image, box in enumerate(boxes, 1)], len(boxes))
    sides = []
    for name, missing in (("a", 5), ("b", 0)):
        found = [annotation(image, box, score=1 / image) for image, box in enumerate(boxes, 1) if image > missing]
        scores, matches = evaluate_instances(truth, found)
        lines = [match_to_json(match, f"{match.image_id}.png") for match in matches]
        lines += [{"task": "instance_image", "image": f"{number}.png", "id": number} for number in range(1, 11)]
        sides.append(save(tmp_path, name, lines, instances={"stats": scores.stats}))
    row = compare_results(*sides).figures["instances"]["ap"]
    assert row["difference"] == pytest.approx(0.5, abs=0.01)
    # Half of the images are missed, so the missed share of ten drawn ones is binomial with a deviation of sqrt(.25 / 10).
    assert row["interval"][0] == pytest.approx(0.5 - 1.96 * 0.158, abs=0.11)
    assert row["verdict"] == "better"


def test_few_images_tell_nothing_however_large_the_difference(tmp_path):
    a, b = save_words(tmp_path, "a", rows_with_hits([0, 0, 0, 0])), save_words(tmp_path, "b", rows_with_hits([99, 99, 99, 99]))
    row = compare_results(a, b).figures["referring"]["clean"]["by_kind"]["all"]["miou"]
    assert row["difference"] > 0.9
    assert (row["interval"], row["verdict"]) == (None, "unclear")


def test_every_table_of_a_comparison_can_be_printed(tmp_path):
    a, b = save_words(tmp_path, "a", rows_with_hits([10, 20, 30, 40, 50])), save_words(tmp_path, "b", rows_with_hits([20, 30, 40, 50, 60]))
    first, *_ = comparison_tables(compare_results(a, b).figures)
    (miou, *_) = first.rows
    assert miou[0] == "mIoU"
    assert miou[3].startswith("+")
    assert miou[-1] == "better"
