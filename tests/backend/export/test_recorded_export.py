"""An export and masks that a real Label Studio wrote: ours are the same to the pixel (see the README beside the data)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from backend.export.records import ConvertOptions
from backend.export.run import ExportJob, run_export
from backend.export.schemes import scheme_of_file
from models import coco_rle_to_mask
from tests.export_factories import NoFiles, read_json

RECORDED = Path(__file__).parents[2] / "data" / "label_studio_export"
PICTURES = sorted((RECORDED / "masks").glob("*.png"))
CONFIG = (RECORDED / "label_config.xml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "out"
    tasks = RECORDED / "export.json"
    run_export(ExportJob(tasks, ConvertOptions(scheme_of_file(tasks, CONFIG)), out, NoFiles()))
    return out


def masks_by_name(folder: Path) -> dict[str, npt.NDArray[np.bool_]]:
    """Our masks under the names of Label Studio's pictures: annotation, label, and a number among those of one label."""
    written = read_json(folder / "instances.json")
    names = {category["id"]: category["name"] for category in written["categories"]}
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for annotation in written["annotations"]:
        stem = f"annotation-{annotation['attributes']['annotation_id']}-{names[annotation['category_id']]}"
        number = sum(name.startswith(stem) for name in found)
        found[f"{stem}-{number}"] = coco_rle_to_mask(annotation["segmentation"])
    return found


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_our_masks_are_those_that_label_studio_draws(exported: Path, picture: Path) -> None:
    match = re.fullmatch(r"task-\d+-(annotation-\d+)-by-1-brush-(\w+-\d+)", picture.stem)
    assert match is not None
    alpha = np.asarray(Image.open(picture))
    assert np.array_equal(masks_by_name(exported)[f"{match[1]}-{match[2]}"], alpha >= 128)


def test_every_picture_has_its_annotation_and_the_other_way_round(exported: Path) -> None:
    written = read_json(exported / "instances.json")
    assert len(written["annotations"]) == len(PICTURES)
    assert len(written["images"]) == len(PICTURES)  # two masks on one image, and one image without any


def test_an_alias_is_the_name_of_its_category(exported: Path) -> None:
    assert [category["name"] for category in read_json(exported / "instances.json")["categories"]] == ["Dog", "cat", "Cow"]


def test_without_a_labeling_config_the_labels_of_the_tasks_are_the_categories() -> None:
    scheme = scheme_of_file(RECORDED / "export.json", None)
    assert scheme.categories == ("Cow", "Dog", "cat")
    assert [(image.name, image.data_key, image.is_list) for image in scheme.images] == [("image", "image", False)]
