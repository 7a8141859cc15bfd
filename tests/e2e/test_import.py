"""COCO into a real Label Studio and out again: the masks are the same, bit for bit."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from backend.regions import region_to_mask
from tests.e2e.conftest import LabelStudio
from tests.refer_world import decode, make_instances, write_images

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

SIZE = (49, 63)
CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="mask" toName="image"><Label value="person"/><Label value="dog"/></BrushLabels></View>"""


@pytest.fixture
def coco(tmp_path: Path) -> COCO:
    """A COCO file with polygons of several parts and crowds, and its images."""
    instances = make_instances(3, per_image=4, size_hw=SIZE)
    (tmp_path / "instances_val.json").write_text(json.dumps(instances))
    write_images(tmp_path / "val", [image["file_name"] for image in instances["images"]], SIZE)
    return read(tmp_path / "instances_val.json")


def read(file: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(file)


def test_coco_comes_into_label_studio_and_leaves_it_unchanged(label_studio: LabelStudio, wordmask: Any, coco: COCO, tmp_path: Path) -> None:
    project = label_studio.api.create_project("import", CONFIG)
    command = ("import", "coco", "instances_val.json", "--to-project", str(project), "--image-root", "val")

    first, second = wordmask(*command), wordmask(*command)

    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr + second.stdout + second.stderr
    assert "3 tasks with 12 regions created, 0 were there already" in first.stdout
    assert "0 tasks with 0 regions created, 3 were there already" in second.stdout
    tasks = label_studio.api.call("GET", f"/api/tasks?project={project}&fields=all")["tasks"]
    seen = 0
    for task in tasks:
        (prediction,) = label_studio.api.predictions(task["id"])
        for region in prediction["result"]:
            source = coco.anns[int(region["id"].removeprefix("wm-"))]
            np.testing.assert_array_equal(region_to_mask(region, SIZE), decode(coco.annToRLE(source)))
            seen += 1
    assert (len(tasks), seen) == (3, 12)

    done = wordmask("export", "coco", "--project", str(project), "--out", "out", "--source", "predictions", "--images", "copy")

    assert done.returncode == 0, done.stdout + done.stderr
    after = read(tmp_path / "out" / "instances.json")
    assert len(after.anns) == 12
    for annotation in after.dataset["annotations"]:
        source = coco.anns[int(annotation["attributes"]["region_id"].removeprefix("wm-"))]
        np.testing.assert_array_equal(decode(annotation["segmentation"]), decode(coco.annToRLE(source)))
    copied = sorted(path.read_bytes() for path in (tmp_path / "out" / "images").iterdir())
    assert copied == sorted(path.read_bytes() for path in (tmp_path / "val").iterdir())
