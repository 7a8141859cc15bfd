"""Data sets of MESS, through a package that registers them as ``mess-benchmark`` 0.2 does: its interface, two of its files' worth."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.data.readers import DatasetReadError
from models.data.readers.mess import ROOT_VARIABLE

CATALOGUE = """
import os
from types import SimpleNamespace

class _Names(dict):
    def list(self):
        return [*self]
    def get(self, name):
        return self[name]()

class _About(SimpleNamespace):
    def get(self, name, default=None):
        return getattr(self, name, default)

def _load(image_root, label_root):
    names = sorted(os.listdir(label_root))
    assert names, "No annotations found"
    return [{"file_name": os.path.join(image_root, n), "sem_seg_file_name": os.path.join(label_root, n)} for n in names]

DatasetCatalog, _known = _Names(), {}
MetadataCatalog = SimpleNamespace(get=_known.__getitem__)
_root = os.path.join(os.environ["DETECTRON2_DATASETS"], "kvasir-instrument")
_images, _labels = (os.path.join(_root, part, "test") for part in ("images_detectron2", "annotations_detectron2"))
DatasetCatalog["kvasir_instrument_sem_seg_test"] = lambda: _load(_images, _labels)
_known["kvasir_instrument_sem_seg_test"] = _About(image_root=_images, ignore_label=255, stuff_classes=("others", "tool"))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, importable until the test ends."""
    home = tmp_path / "site" / "mess" / "datasets"
    home.mkdir(parents=True)
    for path, text in ((home.parent / "__init__.py", ""), (home / "__init__.py", ""), (home / "TorchvisionDataset.py", CATALOGUE)):
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv(ROOT_VARIABLE, "")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "mess"]:
        del sys.modules[name]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images of a tool, an unjudged strip beside it."""
    values = np.zeros((20, 30), np.uint8)
    values[:, 10:20], values[:, 25:] = 1, 255
    for part, picture in (("images", np.zeros((20, 30, 3), np.uint8)), ("annotations", values)):
        folder = tmp_path / "data" / "kvasir-instrument" / f"{part}_detectron2" / "test"
        folder.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(picture).save(folder / f"{number}.png")
    return tmp_path / "data"


def test_pixels_are_classes_and_what_is_not_judged_is_a_crowd(root: Path, package: None, read: Any) -> None:
    heard = read("mess", root, split="kvasir_instrument_sem_seg_test")
    assert not heard.remarks
    assert [category.name for category in heard.categories] == ["others", "tool"]
    assert [sample.image for sample in heard.samples] == [f"kvasir-instrument/images_detectron2/test/{number}.png" for number in range(2)]
    areas = {target.label: int(heard.samples[0].mask_of([target.id]).sum()) for target in heard.samples[0].targets}
    assert areas == {"others": 20 * 15, "tool": 20 * 10, None: 20 * 5}


@pytest.mark.parametrize("split", [None, "nothing_sem_seg_test"], ids=["not said", "unknown"])
def test_which_data_set_is_meant_must_be_said(root: Path, package: None, read: Any, split: str | None) -> None:
    with pytest.raises(DatasetReadError, match="it has kvasir_instrument_sem_seg_test"):
        read("mess", root, split=split)


def test_data_that_were_not_prepared_are_named(tmp_path: Path, package: None, read: Any) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetReadError, match=r"is not prepared in .* follow DATASETS\.md"):
        read("mess", tmp_path / "empty", split="kvasir_instrument_sem_seg_test")


def test_a_map_that_cannot_be_read_is_left_out(root: Path, package: None, read: Any) -> None:
    (root / "kvasir-instrument" / "annotations_detectron2" / "test" / "0.png").write_bytes(b"nothing")
    heard = read("mess", root, split="kvasir_instrument_sem_seg_test")
    assert heard.kinds == ["bad-png"]
    assert len(heard.samples) == 1


def test_without_the_package_its_name_is_told(root: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, "")
    monkeypatch.setitem(sys.modules, "mess", None)
    with pytest.raises(DatasetReadError, match=r"mess-benchmark cannot be used .* wordmask\[mess\]"):
        read("mess", root, split="kvasir_instrument_sem_seg_test")
