"""An annotator at a real browser: type words, see the mask, accept, submit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from backend.regions import region_to_mask
from models.metrics import Overlap
from tests.e2e.conftest import LabelStudio, plain_expression, plain_scene
from tools.backend_server import BackendServer
from tools.demo_projects import CONFIGS
from tools.editor import Editor

pytestmark = [pytest.mark.slow, pytest.mark.label_studio, pytest.mark.browser]


def _changed(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    difference: npt.NDArray[np.int16] = np.abs(before.astype(np.int16) - after.astype(np.int16))
    return difference.max(axis=2) > 4


def _on_screen(mask: npt.NDArray[np.bool_], size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    shown = cv2.resize(mask.astype(np.uint8), (size_hw[1], size_hw[0]), interpolation=cv2.INTER_NEAREST)
    return shown.astype(np.bool_)


def test_typed_words_become_a_mask_on_the_page_and_a_region_of_the_annotation(
    label_studio: LabelStudio, backend_server: BackendServer, editor: Editor, artefacts: Path
) -> None:
    api, scene = label_studio.api, plain_scene()
    expression = plain_expression(scene)
    config = (CONFIGS / "text_prompt_brush.xml").read_text(encoding="utf-8")
    project = api.create_project("An annotator types", config, show_collab_predictions=False)
    (task,) = (uploaded["id"] for uploaded in api.upload_images(project, [scene.path]))
    api.connect_backend(project, backend_server.url)

    editor.open_task(project, task)
    editor.turn_on_auto_annotation()
    before = editor.canvas()
    editor.type_prompt(expression.text)
    editor.screenshot(artefacts / "suggestion.png")
    editor.accept_suggestions()
    after = editor.canvas()
    editor.screenshot(artefacts / "accepted.png")
    labels_in_list = editor.region_labels()
    editor.submit()

    (annotation,) = api.annotations(task)
    masks = [region for region in annotation["result"] if region["type"] == "brushlabels"]
    prompts = [region["value"]["text"] for region in annotation["result"] if region["type"] == "textarea"]
    mask = np.any([region_to_mask(region, expression.mask.shape) for region in masks], axis=0)
    assert prompts == [[expression.text]]
    assert [region["meta"]["text"] for region in masks] == [[expression.text]] * len(masks)
    assert labels_in_list == [region["value"]["brushlabels"][0] for region in masks]
    assert Overlap.between(mask, expression.mask).iou > 0.5
    changed, inside = _changed(before, after), _on_screen(mask, after.shape[:2])
    assert changed[inside].mean() > 0.8, "the mask is not drawn where it lies"
    assert changed[~inside].mean() < 0.1, "something else is drawn, too"
