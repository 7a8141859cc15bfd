"""The data set folder: what goes in comes out, nothing half-written gets a name, and damage is told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.dataset_folder import Category, DatasetError, DatasetFolder, DatasetWriter, Expression, Sample, Target
from models.masks import mask_to_coco_rle

RLE = mask_to_coco_rle(np.eye(3, 4, dtype=bool))


def make_sample(**changes: Any) -> Sample:
    values: dict[str, Any] = {
        "image": "images/a.png",
        "size_hw": (3, 4),
        "split": "val",
        "targets": (Target(7, RLE, (0.0, 0.0, 3.0, 3.0), "line", True, {"score": 0.5}), Target(8, None, (1.0, 0.0, 2.0, 2.5))),
        "expressions": (Expression("the diagonal", (7,), "spatial", "testA", 3), Expression("a unicorn", ())),
        "attributes": {"source id": 12},
    }
    return Sample(**{**values, **changes})


def write(path: Path, *samples: Sample, replace: bool = False) -> DatasetFolder:
    with DatasetWriter(path, "made by a test", replace=replace) as writer:
        for sample in samples:
            writer.add(sample)
        writer.commit([Category(3, "line"), Category(1, "sky", isthing=False)])
    return DatasetFolder(path)


def test_samples_come_back_as_they_went_in(tmp_path: Path) -> None:
    plain = Sample("/elsewhere/b.png", (1, 1))
    folder = write(tmp_path / "set", make_sample(), plain)
    assert list(folder) == [make_sample(), plain]
    assert list(folder) == [make_sample(), plain], "a second pass reads the same"
    assert len(folder) == 2


def test_the_manifest_names_categories_in_order_and_counts(tmp_path: Path) -> None:
    manifest = write(tmp_path / "set", make_sample(), make_sample(split="train", expressions=())).manifest
    assert manifest.categories == (Category(3, "line"), Category(1, "sky", False))
    assert manifest.counts == {"samples": 2, "targets": 4, "expressions": 2}
    assert manifest.splits == {"testA": 1, "train": 1, "val": 1}
    assert manifest.source == "made by a test"


texts = st.text(max_size=8)
boxes = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(lambda corner: (*map(float, corner), corner[0] + 1.5, corner[1] + 2.0))


@given(st.lists(st.builds(Expression, texts, st.just(()), st.none() | texts, st.none() | texts, st.none() | st.integers() | texts)), boxes)
def test_any_words_and_boxes_survive_json(expressions: list[Expression], box: Any) -> None:
    sample = make_sample(expressions=tuple(expressions), targets=(Target(0, None, box),))
    assert Sample.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def test_the_mask_of_several_targets_is_their_union() -> None:
    other = mask_to_coco_rle(np.fliplr(np.eye(3, 4, dtype=bool)))
    sample = make_sample(targets=(Target(7, RLE), Target(9, other)), expressions=())
    np.testing.assert_array_equal(sample.mask_of((7, 9)), np.eye(3, 4, dtype=bool) | np.fliplr(np.eye(3, 4, dtype=bool)))
    assert not sample.mask_of(()).any()


def test_a_box_is_no_mask() -> None:
    with pytest.raises(ValueError, match="target 8 has only a box"):
        make_sample().mask_of((8,))


def test_an_expression_without_split_belongs_to_that_of_its_sample() -> None:
    sample = make_sample()
    assert [sample.split_of(expression) for expression in sample.expressions] == ["testA", "val"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"targets": (Target(7, RLE), Target(7, RLE))}, "same id", id="id twice"),
        pytest.param({"targets": ()}, "does not have", id="expression about nothing that is there"),
        pytest.param({"size_hw": (4, 3)}, "mask of target 7", id="mask of another size"),
        pytest.param({"image": ""}, "needs the path", id="no image"),
    ],
)
def test_a_sample_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_sample(**changes)


@pytest.mark.parametrize("box", [(1.0, 0.0, 1.0, 2.0), (0.0, 0.0, float("nan"), 1.0), None], ids=["no width", "not a number", "nothing"])
def test_a_target_needs_a_mask_or_a_box_with_an_area(box: Any) -> None:
    with pytest.raises(ValueError, match="target 1"):
        Target(1, None, box)


def test_a_set_that_was_not_committed_leaves_nothing_behind(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "set", "test") as writer:
        writer.add(make_sample())
        assert writer.work_path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_replaced_only_on_request_and_only_by_a_complete_one(tmp_path: Path) -> None:
    write(tmp_path / "set", make_sample())
    with pytest.raises(FileExistsError, match="holds a data set already"):
        DatasetWriter(tmp_path / "set", "test")
    with pytest.raises(RuntimeError), DatasetWriter(tmp_path / "set", "test", replace=True):
        raise RuntimeError
    assert len(DatasetFolder(tmp_path / "set")) == 1
    assert len(write(tmp_path / "set", replace=True)) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(FileExistsError, match="no data set"):
        DatasetWriter(tmp_path, "test", replace=True)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", make_sample(), make_sample())
    lines = (folder.path / "samples.jsonl").read_text().splitlines()
    (folder.path / "samples.jsonl").write_text(lines[0] + "\n" + lines[1][:-20])
    with pytest.raises(DatasetError, match="line 2"):
        list(folder)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(None, id="missing"),
        pytest.param("[]", id="a list"),
        pytest.param('{"format": "coco"}', id="another format"),
        pytest.param('{"format": "wordmask-dataset", "version": 99}', id="a later version"),
        pytest.param('{"format": "wordmask-dataset", "version": 1}', id="incomplete"),
    ],
)
def test_a_folder_without_a_usable_manifest_is_refused(tmp_path: Path, manifest: str | None) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(DatasetError, match="import"):
        DatasetFolder(tmp_path)


def test_images_lie_in_the_folder_or_at_an_absolute_path(tmp_path: Path) -> None:
    folder = write(tmp_path / "set")
    assert folder.image_path(make_sample()) == tmp_path / "set" / "images" / "a.png"
    assert folder.image_path(make_sample(image="/data/a.png")) == Path("/data/a.png")
    with pytest.raises(DatasetError, match="leads out"):
        folder.image_path(make_sample(image="../../etc/passwd"))
