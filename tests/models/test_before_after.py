"""Pictures of what a version changed: the right images, at the right place, in the right colours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.before_after import write_before_after
from models.report.pictures import MISSED, RIGHT
from tests.evaluation_world import GHOST, knowing_engine, write_dataset


def test_the_images_that_changed_most_are_drawn_before_and_after(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "pets", 4).path
    before, after = knowing_engine(instances={"dog": 0, GHOST: 0}), knowing_engine()
    assert write_before_after(tmp_path / "pictures", before, after, data, most=2) == 2
    listed = json.loads((tmp_path / "pictures" / "pictures.json").read_text())
    assert listed[0] == {"words": "dog, cat", "before": 0.5, "after": pytest.approx(0.8333)}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "pictures.json", "0-before.jpg", "0-after.jpg", "1-before.jpg", "1-after.jpg",
    }  # fmt: skip


def test_what_was_missed_and_what_is_right_can_be_told_apart(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "pets", 1).path
    write_before_after(tmp_path / "p", knowing_engine(instances={"dog": 0, GHOST: 0}), knowing_engine(), data)
    before, after = (np.asarray(Image.open(tmp_path / "p" / f"0-{name}.jpg"), int) for name in ("before", "after"))
    assert before.shape == (48, 64, 3)
    changed = np.abs(before - after).sum(axis=2) > 60
    assert 100 < changed.sum() < 400, "the dog's rectangle, and nothing else"
    towards = {"before": MISSED, "after": RIGHT}
    for name, picture in (("before", before), ("after", after)):
        mean = picture[changed].mean(axis=0)
        distance = {colour: np.abs(mean - colour).sum() for colour in (MISSED, RIGHT)}
        assert min(distance, key=lambda colour: distance[colour]) == towards[name]


def test_only_images_that_measure_are_shown(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "pets", 5, split="train").path  # every fifth measures where there is no validation split
    assert write_before_after(tmp_path / "p", knowing_engine(), knowing_engine(), data) == 1


def test_without_images_the_list_is_empty(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "pets", 0).path
    assert write_before_after(tmp_path / "p", knowing_engine(), knowing_engine(), data) == 0
    assert json.loads((tmp_path / "p" / "pictures.json").read_text()) == []
