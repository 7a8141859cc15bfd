"""COCO to Label Studio and back is the identity on masks, and on everything else that Label Studio can hold."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools.coco import COCO

from backend.importing.task_content import TaskContent
from backend.label_config import parse_label_config
from backend.regions import region_to_mask
from models import BoolMask, DatasetFolder, DatasetSource, DatasetWriter, read_dataset
from tests.export_factories import export
from tests.refer_world import decode, make_instances, uncompressed

LABELS = '<Label value="person"/><Label value="dog"/>'
BRUSH = f'<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i">{LABELS}</BrushLabels></View>'
BITMASK = BRUSH.replace("BrushLabels", "BitmaskLabels")

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40), elements=st.booleans())


def coco_of(mask: BoolMask) -> dict[str, Any]:
    """A COCO file of one image with one mask."""
    instances = make_instances(1, per_image=1, size_hw=(48, 64))
    instances["images"][0].update(height=mask.shape[0], width=mask.shape[1])
    instances["annotations"][0].update(segmentation=uncompressed(mask), bbox=None, iscrowd=0)
    return instances


def tasks_of(file: Path, config: str) -> list[dict[str, Any]]:
    """The tasks that an import into a project of that config would create, as Label Studio exports them."""
    findings: list[Any] = []
    with read_dataset("coco", DatasetSource(file)) as found:
        content = TaskContent(parse_label_config(config), [category.name for category in found.categories], "prompt", findings.append)
        tasks = [
            {
                "id": sample.attributes["image_id"],
                "data": content.data(sample, f"coco:{sample.image}", f"/data/upload/1/{sample.image}"),
                "predictions": [{"id": 1, "model_version": "import:coco", "result": content.regions(sample)}],
            }
            for sample in found.samples
        ]
    assert {finding.kind for finding in findings} == {"crowd"}, "the only thing that a region cannot hold"
    return tasks


@pytest.mark.parametrize("config", [BRUSH, BITMASK], ids=["brush", "bitmask"])
@settings(max_examples=40, deadline=None)
@given(mask=masks.filter(lambda mask: bool(mask.any())))
def test_any_mask_survives_data_set_folder_and_region(tmp_path_factory: pytest.TempPathFactory, config: str, mask: BoolMask) -> None:
    folder = tmp_path_factory.mktemp("set")
    (folder / "a.json").write_text(json.dumps(coco_of(mask)))
    with read_dataset("coco", DatasetSource(folder / "a.json")) as found, DatasetWriter(folder / "set", "test") as writer:
        for sample in found.samples:
            writer.add(sample)
        writer.commit(found.categories)
    (sample,) = DatasetFolder(folder / "set")
    (region,) = TaskContent(parse_label_config(config), [], "prompt", pytest.fail).regions(sample)
    np.testing.assert_array_equal(region_to_mask(json.loads(json.dumps(region)), mask.shape), mask)


@pytest.mark.parametrize("config", [BRUSH, BITMASK], ids=["brush", "bitmask"])
def test_coco_to_label_studio_to_coco_is_the_identity_on_masks(tmp_path: Path, config: str) -> None:
    (tmp_path / "instances_val.json").write_text(json.dumps(make_instances(4, per_image=5, size_hw=(49, 63))))
    with contextlib.redirect_stdout(io.StringIO()):
        before = COCO(tmp_path / "instances_val.json")
        folder, summary, findings = export(
            tmp_path, tasks_of(tmp_path / "instances_val.json", config), config=config, convert={"source": "predictions"}
        )
        after = COCO(folder / "instances.json")
    assert summary.masks == len(before.anns) == 20
    assert not findings.counts
    names = {category["id"]: category["name"] for category in after.dataset["categories"]}
    assert list(names.values()) == [category["name"] for category in before.dataset["categories"]]
    for annotation in after.dataset["annotations"]:
        source = before.anns[int(annotation["attributes"]["region_id"].removeprefix("wm-"))]
        assert annotation["image_id"] == source["image_id"]
        assert names[annotation["category_id"]] == before.cats[source["category_id"]]["name"]
        np.testing.assert_array_equal(decode(annotation["segmentation"]), decode(before.annToRLE(source)))
