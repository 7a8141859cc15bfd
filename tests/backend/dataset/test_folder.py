"""Samples in the form that training and evaluation read; splits that never change; images that are kept as long as they are used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.dataset import images_kept
from backend.dataset.folder import write_folder
from backend.dataset.images_kept import KeptImages
from backend.dataset.split import split_of
from backend.dataset.update import DatasetUpdate
from backend.errors import BadRequest
from models.data.dataset_folder import DatasetFolder
from tests.backend.dataset.studio import Studio, brush, rectangle
from tests.factories import make_image


def test_a_written_folder_holds_what_the_store_holds(label_studio: Studio, update: DatasetUpdate, tmp_path: Path) -> None:
    label_studio.annotate(label_studio.add_task(), brush("Dog"), rectangle("Cat"))
    label_studio.annotate(label_studio.add_task((9, 9, 9)))
    update.whole_project(1)

    counts = write_folder(update.store, 1, tmp_path / "set")

    folder = DatasetFolder(tmp_path / "set")
    assert counts == {"samples": 2, "targets": 2, "expressions": 4} == folder.manifest.counts
    assert list(folder) == list(update.store.samples(1))
    assert [category.name for category in folder.manifest.categories] == ["Dog", "Cat", "Free"]
    with Image.open(folder.image_path(next(iter(folder)))) as image:
        assert np.array_equal(np.asarray(image), make_image())


def test_a_folder_gives_way_to_a_newer_one(label_studio: Studio, update: DatasetUpdate, tmp_path: Path) -> None:
    annotation = label_studio.annotate(label_studio.add_task(), brush("Dog"))
    update.whole_project(1)
    write_folder(update.store, 1, tmp_path / "set")
    label_studio.delete_annotation(1, annotation)
    update.whole_project(1)
    assert write_folder(update.store, 1, tmp_path / "set")["samples"] == 0
    assert list(DatasetFolder(tmp_path / "set")) == []


def test_a_project_that_was_never_seen_is_refused_with_the_command_that_helps(update: DatasetUpdate, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="wordmask dataset pull --project 1"):
        write_folder(update.store, 1, tmp_path / "set")


def test_a_folder_of_something_else_is_left_alone(label_studio: Studio, update: DatasetUpdate, tmp_path: Path) -> None:
    update.whole_project(1)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").touch()
    with pytest.raises(BadRequest, match="choose another folder"):
        write_folder(update.store, 1, tmp_path / "set")
    assert (tmp_path / "set" / "thesis.tex").exists()


def test_the_same_image_uploaded_twice_lies_in_one_split(label_studio: Studio, update: DatasetUpdate) -> None:
    for _ in range(2):
        label_studio.annotate(label_studio.add_task((7, 7, 7)), brush())
    update.whole_project(1)
    first, second = update.store.samples(1)
    assert first.split == second.split
    assert first.image == second.image


@pytest.mark.parametrize(
    ("digest", "split"),
    [("00000000ab", "val"), ("00000013ab", "val"), ("00000014ab", "train"), ("00000063ab", "train"), ("07d55dde2ab8", "val")],
)
def test_the_split_of_an_image_is_what_it_always_was(digest: str, split: str) -> None:
    assert split_of(digest) == split


def test_about_a_fifth_of_all_images_is_for_validation() -> None:
    drawn = np.random.default_rng(1).integers(0, 2**32, 5000)
    share = np.mean([split_of(f"{number:08x}") == "val" for number in drawn])
    assert abs(share - 0.2) < 0.02


def test_images_that_no_sample_uses_go_after_a_while(tmp_path: Path) -> None:
    kept = KeptImages(tmp_path)
    used, unused, fresh = (kept.keep(make_image(colour=(number, 0, 0))) for number in range(3))
    old = time.time() - images_kept._YOUNG_SECONDS - 1
    for digest in (used, unused):
        os.utime(kept.path(digest), (old, old))
    assert kept.remove_others({used}) == 1
    assert [kept.path(digest).exists() for digest in (used, unused, fresh)] == [True, False, True]
