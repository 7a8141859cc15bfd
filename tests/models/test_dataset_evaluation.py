"""Evaluating a data set folder: what is chosen, what is asked, what is scored, and what is refused or skipped in so many words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.data.dataset_folder import DatasetFolder, DatasetWriter
from models.data.sample import Category, Expression, Sample, Target
from models.dataset_evaluation import EvaluationError, evaluate_dataset, select_samples
from models.masks import coco_rle_to_mask, mask_to_coco_rle
from models.proposals import ProposalOptions
from models.types import RgbImage
from tests.evaluation_world import GHOST, LABELS, knowing_engine, write_dataset
from tests.factories import FakeEngine, FakeProposingEngine, fake_mask, make_mask


def read(path: Path) -> RgbImage:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def run(
    folder: DatasetFolder, *tasks: str, engine: FakeEngine | None = None, **options: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    selection = select_samples(folder, options.pop("split", None), tasks, options.pop("limit", None))
    return evaluate_dataset(engine or knowing_engine(), selection, read, rows.append, **options), rows


@pytest.fixture
def folder(tmp_path: Path) -> DatasetFolder:
    return write_dataset(tmp_path / "set")


def write_one(path: Path, *targets: Target, expressions: tuple[Expression, ...] = (), split: str | None = None) -> DatasetFolder:
    with DatasetWriter(path, "made for tests") as writer:
        (writer.work_path / "images").mkdir()
        Image.new("RGB", (64, 48)).save(writer.work_path / "images" / "a.png")
        writer.add(Sample("images/a.png", (48, 64), split, targets, expressions))
        writer.commit([Category(1, "dog"), Category(2, "cat")])
    return DatasetFolder(path)


def target(number: int, label: str | None = "dog", **fields: Any) -> Target:
    return Target(number, mask_to_coco_rle(make_mask(box=(10 * number, 0, 10 * number + 8, 8))), label=label, **fields)


def test_words_are_scored_under_both_protocols(folder):
    figures, rows = run(folder)
    clean = figures["referring"]["clean"]["by_kind"]
    assert clean["all"]["n"] == 12
    assert clean["name"]["miou"] == pytest.approx((1.0 + 0.5) / 2)
    assert clean["absent"]["n_acc"] == 1.0
    assert figures["referring"]["clean"]["by_label"]["dog"]["miou"] == 1.0
    assert figures["referring"]["clean"]["by_label"]["cat"]["oiou"] == 0.5
    assert 0.9 < figures["referring"]["official"]["by_label"]["dog"]["miou"] < 1.0, "its ground truth is enlarged"
    assert set(figures["protocols"]) == {"clean", "official"}
    assert [row["text"] for row in rows[:3]] == ["dog", "cat", GHOST]


def test_words_are_the_task_where_something_is_said_else_labels(folder, tmp_path):
    assert select_samples(folder, None).tasks == ("referring",)
    assert select_samples(write_one(tmp_path / "mute", target(1)), None).tasks == ("semantic", "instances")


def test_all_labels_of_the_set_are_asked_at_once(folder):
    engine = knowing_engine()
    run(folder, "semantic", "instances", engine=engine)
    assert engine.calls == [("segment", list(LABELS))] * 4


def test_an_engine_that_prefers_lists_is_asked_for_the_list_unless_told_otherwise(folder):
    engine = FakeProposingEngine(instances={GHOST: 0})
    as_list, _ = run(folder, "semantic", "instances", engine=engine)
    assert engine.calls == [("propose", (list(LABELS), [], ProposalOptions()))] * 4
    assert as_list["semantic"]["background"]["iou"] == {"dog": 1.0, "cat": 0.5}
    assert as_list["proposals"] == {"points_per_image": 0.0, "sam_masks_per_object": 0.0, "joined_masks_per_object": 0.0}

    by_phrase, _ = run(folder, "semantic", "instances", engine=engine, labels_as_phrases=True)
    assert engine.calls[4:] == [("segment", list(LABELS))] * 4
    assert by_phrase["proposals"] is None
    assert by_phrase["semantic"] == as_list["semantic"]
    assert by_phrase["instances"] == as_list["instances"]


def test_an_engine_that_takes_lists_and_prefers_phrases_gets_phrases(folder):
    engine = FakeProposingEngine(prefers_lists=False)
    run(folder, "semantic", engine=engine)
    assert {name for name, _ in engine.calls} == {"segment"}


def test_pixels_of_a_crowd_without_a_label_are_not_judged(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    found = fake_mask(image, "dog")
    targets = Target(1, mask_to_coco_rle(~found), label="cat"), Target(2, mask_to_coco_rle(found), iscrowd=True)
    figures, _ = run(write_one(tmp_path / "set", *targets), "semantic", engine=knowing_engine(instances={"cat": 0}))
    assert figures["skipped"]["count"] == 0
    assert figures["semantic"]["background"]["iou"] == {"dog": None, "cat": 0.0}


def test_labels_are_scored_by_pixel_and_by_object(folder):
    figures, _ = run(folder, "semantic", "instances")
    assert figures["semantic"]["mess"]["iou"] == {"dog": 1.0, "cat": 1.0}
    assert figures["semantic"]["background"]["iou"] == {"dog": 1.0, "cat": 0.5}
    assert figures["instances"]["ap_by_label"]["dog"] == pytest.approx(1.0)
    assert figures["instances"]["ap_by_label"]["cat"] == pytest.approx(0.1), "an IoU of .5 counts at the first of ten thresholds"
    assert figures["referring"] is None


def test_rows_of_labels_can_be_drawn(folder):
    _, rows = run(folder, "semantic", engine=knowing_engine(instances={"dog": 0}))
    masks = {name: coco_rle_to_mask({"size": rows[0]["drawn_hw"], "counts": rows[0][name]}) for name in ("right", "missed", "wrong")}
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"right": 96, "missed": 192, "wrong": 96}


def test_a_cup_lies_on_its_table_in_the_ground_truth(tmp_path):
    table, cup = make_mask(box=(0, 0, 40, 40)), make_mask(box=(10, 10, 20, 20))
    targets = (Target(1, mask_to_coco_rle(cup), label="cat"), Target(2, mask_to_coco_rle(table), label="dog"))
    figures, _ = run(write_one(tmp_path / "set", *targets), "semantic")
    assert figures["semantic"]["mess"]["pixels"] == {"dog": 1500, "cat": 100}


def test_the_pixels_of_a_crowd_are_not_judged(tmp_path):
    folder = write_one(tmp_path / "set", target(1), target(3, iscrowd=True))
    figures, _ = run(folder, "semantic")
    assert figures["semantic"]["background"]["pixels"]["dog"] == 64


def test_a_split_takes_the_expressions_that_name_it(tmp_path):
    said = (Expression("dog", (1,), split="testA"), Expression("cat", (1,), split="testB"))
    folder = write_one(tmp_path / "set", target(1), expressions=said)
    figures, rows = run(folder, split="testB")
    assert [row["text"] for row in rows] == ["cat"]
    assert figures["referring"]["clean"]["by_kind"].keys() == {"all", "unnamed"}


def test_a_limit_takes_the_first_images(folder):
    assert select_samples(folder, "val", (), 3).n_images == 3
    figures, _ = run(folder, limit=1)
    assert figures["referring"]["clean"]["by_kind"]["all"]["n"] == 3


@pytest.mark.parametrize(
    ("split", "tasks", "message"),
    [
        pytest.param("testC", (), r"has no split 'testC'; it has val", id="unknown split"),
        pytest.param(None, ("referring",), r"nothing is said about the images", id="words without expressions"),
    ],
)
def test_what_cannot_be_chosen_is_refused(tmp_path, split, tasks, message):
    folder = write_one(tmp_path / "set", target(1), split="val")
    with pytest.raises(EvaluationError, match=message):
        select_samples(folder, split, tasks)


def test_labels_cannot_be_asked_of_a_set_without_any(tmp_path):
    with DatasetWriter(tmp_path / "set", "tests") as writer:
        writer.add(Sample("a.png", (48, 64), None, (target(1, label=None),)))
        writer.commit()
    with pytest.raises(EvaluationError, match="has no labels"):
        select_samples(DatasetFolder(tmp_path / "set"), None)


def test_a_missing_image_is_told_before_anything_is_asked(folder):
    (folder.path / "images" / "2.png").unlink()
    engine = knowing_engine()
    with pytest.raises(EvaluationError, match=r"1 of 4 images are not in .*, the first is images/2.png; .*--skip-broken"):
        run(folder, engine=engine)
    assert engine.calls == []


def spoil(folder: DatasetFolder, how: str) -> None:
    image = folder.path / "images" / "1.png"
    if how == "missing":
        image.unlink()
    elif how == "no image":
        image.write_bytes(b"nothing")
    elif how == "other size":
        Image.new("RGB", (48, 64)).save(image)
    else:
        lines = (folder.path / "samples.jsonl").read_text().splitlines()
        record = json.loads(lines[1])
        record["targets"][0]["rle"]["counts"] = "04"
        lines[1] = json.dumps(record)
        (folder.path / "samples.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param("no image", "cannot identify image file", id="no image"),
        pytest.param("other size", "the image has 48 x 64 pixels, its masks have 64 x 48", id="other size"),
        pytest.param("corrupt mask", "must add up to 48 x 64 pixels", id="corrupt mask"),
        pytest.param("missing", "No such file", id="missing"),
    ],
)
def test_what_is_broken_stops_the_evaluation_or_is_skipped_and_listed(folder, how, message):
    spoil(folder, how)
    with pytest.raises(EvaluationError, match=r"images/1.png.*--skip-broken"):
        run(folder)
    figures, _ = run(folder, skip_broken=True)
    assert figures["referring"]["clean"]["by_kind"]["all"]["n"] == 9
    (skipped,) = figures["skipped"]["examples"]
    assert skipped["image"] == "images/1.png"
    assert message in skipped["why"]


def test_an_error_of_the_engine_is_not_taken_for_a_broken_image(folder):
    with pytest.raises(ValueError, match="bug in the engine") as caught:
        run(folder, engine=knowing_engine(failure=ValueError("bug in the engine")), skip_broken=True)
    assert not isinstance(caught.value, EvaluationError)


def test_targets_that_are_only_boxes_are_skipped_and_listed(tmp_path):
    weak = Target(1, None, (0.0, 0.0, 9.0, 9.0), "dog")
    said = (Expression("dog", (1,)), Expression("cat", (2,)))
    figures, rows = run(write_one(tmp_path / "set", weak, target(2, "cat"), expressions=said), "referring", "instances")
    assert [row["text"] for row in rows if row["task"] == "referring"] == ["cat"]
    assert [(one["what"], one["why"]) for one in figures["skipped"]["examples"]] == [
        ("dog", "refers to something with a box but no mask"),
        ("target 1", "has no mask"),
    ]
    assert figures["instances"]["objects_by_label"] == {"dog": 0, "cat": 1}


def test_a_set_of_boxes_only_cannot_be_evaluated(tmp_path):
    weak = Target(1, None, (0.0, 0.0, 9.0, 9.0), "dog")
    with pytest.raises(EvaluationError, match=r"not one expression .*refers to something with a box but no mask"):
        run(write_one(tmp_path / "set", weak, expressions=(Expression("dog", (1,)),)))


def test_every_image_is_counted_once_for_the_progress_bar(folder):
    seen: list[None] = []
    run(folder, on_image=lambda: seen.append(None))
    assert len(seen) == 4
