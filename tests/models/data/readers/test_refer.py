"""RefCOCO, RefCOCO+, RefCOCOg, ReferIt and gRefCOCO in their original layout."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO

from models.data.readers import DatasetReadError, detect_dataset_format
from tests.refer_world import decode, make_instances, make_references, write_grefcoco, write_refer


def first_reference(**changes: Any) -> list[dict[str, Any]]:
    """References of one image, the first with ``changes``."""
    references = make_references(make_instances(1))
    references[0].update(changes)
    return references


def test_every_sentence_is_an_expression_with_the_official_mask(tmp_path: Path, read: Any) -> None:
    instances = make_instances(4)
    folder = write_refer(tmp_path / "refcoco", instances)
    official = COCO(folder / "instances.json")
    heard = read("refcoco", folder)
    assert not heard.remarks
    found = {expression.id: (sample, expression) for sample in heard.samples for expression in sample.expressions}
    said = [(reference, sentence) for reference in make_references(instances) for sentence in reference["sentences"]]
    assert len(found) == len(said) == 24
    for reference, sentence in said:
        sample, expression = found[sentence["sent_id"]]
        assert sample.attributes["image_id"] == reference["image_id"]
        assert (expression.text, expression.split) == (sentence["sent"], reference["split"])
        assert expression.target_ids == (reference["ann_id"],)
        np.testing.assert_array_equal(sample.mask_of(expression.target_ids), decode(official.annToRLE(official.anns[reference["ann_id"]])))


def test_all_objects_of_the_images_come_in_not_only_those_referred_to(tmp_path: Path, read: Any) -> None:
    instances = make_instances(3, per_image=5)
    heard = read("refcoco+", write_refer(tmp_path, instances, references=[]))
    assert [len(sample.targets) for sample in heard.samples] == [5, 5, 5]
    assert [category.name for category in heard.categories] == ["person", "dog"]


def test_masks_of_referit_are_lists_of_rle(tmp_path: Path, read: Any) -> None:
    instances = make_instances(1, per_image=3)
    for annotation in instances["annotations"]:
        parts = coco.frPyObjects(annotation["segmentation"], 48, 64)
        listed = parts if isinstance(parts, list) else [parts]
        annotation["segmentation"] = [{"size": [48, 64], "counts": part["counts"].decode()} for part in listed]
    annotations = {one["id"]: one for one in instances["annotations"]}
    (sample,) = read("referit", write_refer(tmp_path, instances, "berkeley")).samples
    for target in sample.targets:
        official = decode(annotations[target.id]["segmentation"]).any(axis=2)
        np.testing.assert_array_equal(sample.mask_of([target.id]), official)


def test_the_division_is_chosen_where_there_are_several(tmp_path: Path, read: Any) -> None:
    instances = make_instances(1)
    write_refer(tmp_path, instances, "umd", make_references(instances, splits=("test",)))
    write_refer(tmp_path, instances, "google", make_references(instances, splits=("val",)))
    with pytest.raises(DatasetReadError, match="choose one of: google, umd"):
        read("refcocog", tmp_path)
    with pytest.raises(DatasetReadError, match="not divided by 'unc'"):
        read("refcocog", tmp_path, split_by="unc")
    for heard in (read("refcocog", tmp_path, split_by="umd"), read("refcocog", tmp_path / "refs(umd).p")):
        assert {expression.split for expression in heard.samples[0].expressions} == {"test"}


def test_one_image_may_serve_several_splits(tmp_path: Path, read: Any) -> None:
    (sample,) = read("refcocog", write_refer(tmp_path, make_instances(1))).samples
    assert {sample.split_of(expression) for expression in sample.expressions} == {"train", "val", "testA"}


@pytest.mark.parametrize(
    ("changes", "kind", "lost"),
    [
        pytest.param({"ann_id": 99}, "unknown-annotation", 2, id="annotation is missing"),
        pytest.param({"ann_id": "1001"}, "bad-reference", 2, id="annotation id is a text"),
        pytest.param({"image_id": 7}, "unknown-image", 2, id="image is missing"),
        pytest.param({"image_id": None}, "unknown-image", 2, id="no image"),
        pytest.param({"sentences": None}, "bad-reference", 2, id="no sentences"),
        pytest.param({"sentences": [{"sent": " ", "raw": 5}]}, "bad-sentence", 2, id="sentence without text"),
        pytest.param({"sentences": ["a dog"]}, "bad-sentence", 2, id="sentence is a text"),
        pytest.param({"split": None}, "no-split", 0, id="no split"),
    ],
)
def test_a_broken_reference_is_told_and_the_others_are_kept(tmp_path: Path, read: Any, changes: Any, kind: str, lost: int) -> None:
    heard = read("refcoco", write_refer(tmp_path, make_instances(1), references=first_reference(**changes)))
    assert set(heard.kinds) == {kind}
    assert len(heard.samples[0].expressions) == 6 - lost


def test_an_expression_about_a_broken_mask_is_left_out_not_made_to_mean_nothing(tmp_path: Path, read: Any) -> None:
    instances = make_instances(1)
    wanted = first_reference()[0]["ann_id"]
    next(one for one in instances["annotations"] if one["id"] == wanted)["segmentation"] = [[1, 2]]
    heard = read("refcoco", write_refer(tmp_path, instances))
    assert heard.kinds == ["bad-mask", "unknown-annotation", "unknown-annotation"]
    assert all(expression.target_ids for expression in heard.samples[0].expressions)


@pytest.mark.parametrize("content", [{"refs": []}, 5], ids=["dict", "number"])
def test_a_pickle_that_is_no_list_is_refused(tmp_path: Path, read: Any, content: Any) -> None:
    write_refer(tmp_path, make_instances(1))
    (tmp_path / "refs(unc).p").write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetReadError, match="expected a list of references"):
        read("refcoco", tmp_path)


@pytest.mark.parametrize("missing", ["instances.json", "refs(unc).p"])
def test_a_missing_file_is_named(tmp_path: Path, read: Any, missing: str) -> None:
    (write_refer(tmp_path, make_instances(1)) / missing).unlink()
    with pytest.raises(DatasetReadError, match=r"instances\.json"):
        read("refcoco", tmp_path)


def test_references_that_hold_themselves_are_told(tmp_path: Path, read: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    folder = write_refer(tmp_path, make_instances(1))
    (folder / "refs(unc).p").write_bytes(pickle.dumps([endless, {"sentences": endless, "image_id": endless, "ref_id": endless}]))
    heard = read("refcoco", folder)
    assert heard.kinds == ["bad-reference", "no-split", "bad-sentence"]


# --- gRefCOCO


def test_grefcoco_has_expressions_about_nothing_one_thing_and_several(tmp_path: Path, read: Any) -> None:
    heard = read("grefcoco", write_grefcoco(tmp_path, make_instances(2)))
    assert not heard.remarks
    for sample in heard.samples:
        assert [len(expression.target_ids) for expression in sample.expressions] == [0, 1, 2]
        assert [expression.kind for expression in sample.expressions] == ["no target", "one target", "several targets"]
        assert {expression.split for expression in sample.expressions} == {"val"}


def test_an_expression_that_misses_one_of_its_targets_is_left_out(tmp_path: Path, read: Any) -> None:
    folder = write_grefcoco(tmp_path, make_instances(1))
    references = json.loads((folder / "grefs(unc).json").read_text())
    references[2]["ann_id"].append(99)
    (folder / "grefs(unc).json").write_text(json.dumps(references))
    heard = read("grefcoco", folder)
    assert heard.kinds == ["unknown-annotation"]
    assert [len(expression.target_ids) for expression in heard.samples[0].expressions] == [0, 1]


def test_references_that_end_in_the_middle_give_what_stands_before(tmp_path: Path, read: Any) -> None:
    folder = write_grefcoco(tmp_path, make_instances(1))
    text = (folder / "grefs(unc).json").read_text()
    (folder / "grefs(unc).json").write_text(text[:-30])
    heard = read("grefcoco", folder)
    assert heard.kinds == ["damaged-file"]
    assert len(heard.samples[0].expressions) == 2


# --- which is which


@pytest.mark.parametrize(
    ("folder", "division", "name"),
    [
        ("refcoco", "unc", "refcoco"),
        ("refcoco+", "unc", "refcoco+"),
        ("refcocog", "google", "refcocog"),
        ("refclef", "unc", "referit"),
        ("downloads", "umd", "refcocog"),
        ("downloads", "berkeley", "referit"),
        ("downloads", "unc", "refcoco"),
    ],
)
def test_folders_are_told_apart_by_their_names_and_files(tmp_path: Path, folder: str, division: str, name: str) -> None:
    path = write_refer(tmp_path / folder, make_instances(1), division)
    assert detect_dataset_format(path) == name
    assert detect_dataset_format(path / f"refs({division}).p") == name


def test_grefcoco_is_known_by_its_file(tmp_path: Path) -> None:
    folder = write_grefcoco(tmp_path, make_instances(1))
    assert detect_dataset_format(folder) == "grefcoco"
    assert detect_dataset_format(folder / "grefs(unc).json") == "grefcoco"
    assert detect_dataset_format(folder / "instances.json") == "coco"
