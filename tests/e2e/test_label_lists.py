"""A list of labels pre-annotates a project inside a real Label Studio, and an annotator sees the regions with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.regions import region_to_mask
from models.data.sample_scenes import SampleScene
from models.metrics import Overlap
from tests.e2e.conftest import LabelStudio, new_project, plain_scene
from tools.backend_server import BackendServer
from tools.demo_projects import labels_of
from tools.editor import Editor

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

VIEW = '<View><Image name="photo" value="$picture"/>{controls}</View>'
FOUND, ELSEWHERE = ("teddy bear", "hamburger"), ("car", "tree", "pizza")
"""Labels whose objects the scene shows, large and apart; labels of nothing that it shows."""


def _control(tag: str, *labels: str, name: str = "marks", attributes: str = "") -> str:
    return f'<{tag} name="{name}" toName="photo">' + "".join(f'<Label value="{one}" {attributes}/>' for one in labels) + f"</{tag}>"


def _overlaps(regions: list[dict[str, Any]], scene: SampleScene) -> dict[str, float]:
    """IoU of all regions of each label with all objects of that name."""
    overlaps = {}
    for wanted in labels_of(scene):
        own = [region_to_mask(region, wanted.mask.shape) for region in regions if _label(region) == wanted.text]
        overlaps[wanted.text] = Overlap.between(np.any(own, axis=0), wanted.mask).iou if own else 0.0
    return overlaps


def _label(region: dict[str, Any]) -> str:
    (label,) = region["value"][region["type"]]
    return str(label)


@pytest.mark.parametrize("tag", ["BrushLabels", "PolygonLabels"])
def test_nothing_but_labels_gives_regions_of_what_they_name(label_studio: LabelStudio, backend_server: BackendServer, tag: str) -> None:
    config, scene = VIEW.format(controls=_control(tag, *FOUND, *ELSEWHERE)), plain_scene()
    project, _, (task,) = new_project(label_studio, backend_server.url, config, scene)

    label_studio.api.retrieve_predictions(project)

    (prediction,) = label_studio.api.predictions(task)
    regions = prediction["result"]
    assert {region["type"] for region in regions} == {tag.lower()}
    assert {region["from_name"] for region in regions} == {"marks"}
    overlaps = _overlaps(regions, scene)
    assert min(overlaps[label] for label in FOUND) > 0.5, overlaps
    assert not any("meta" in region for region in regions)


@pytest.mark.browser
def test_an_annotator_sees_single_things_and_stuff_in_one_piece_each_under_its_label(
    label_studio: LabelStudio, backend_server: BackendServer, editor: Editor, artefacts: Path
) -> None:
    stuff = _control("BrushLabels", "teddy bear", "tree", name="stuff", attributes='model_kind="stuff"')
    config, scene = VIEW.format(controls=stuff + _control("PolygonLabels", "hamburger", "car", name="things")), plain_scene()
    project, _, (task,) = new_project(label_studio, backend_server.url, config, scene)
    label_studio.api.retrieve_predictions(project)
    (prediction,) = label_studio.api.predictions(task)

    editor.open_task(project, task)
    editor.screenshot(artefacts / "label_list.png")

    regions = prediction["result"]
    assert sum(_label(region) == "teddy bear" for region in regions) == 1
    assert {(region["from_name"], _label(region)) for region in regions} >= {("stuff", "teddy bear"), ("things", "hamburger")}
    overlaps = _overlaps(regions, scene)
    assert min(overlaps["teddy bear"], overlaps["hamburger"]) > 0.5, overlaps
    assert sorted(editor.region_labels()) == sorted(map(_label, regions))
