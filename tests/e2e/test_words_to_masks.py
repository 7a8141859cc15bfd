"""Words become masks inside a real Label Studio: in batches with nobody there, and while somebody types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import requests

from backend.regions import region_to_mask
from models.data.sample_scenes import SampleScene
from models.evaluation import Expression
from models.metrics import Overlap
from tests.e2e.conftest import LabelStudio, new_project, plain_expression, plain_scene
from tools.backend_server import BackendServer
from tools.demo_check import prompt_gesture

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

VIEW = """<View>
  <Image name="photo" value="$picture"/>
  <BrushLabels name="masks" toName="photo">{labels}</BrushLabels>
  <TextArea name="prompt" toName="photo" editable="true" showSubmitButton="true"/>
</View>"""


def _config(*labels: str) -> str:
    return VIEW.format(labels="".join(labels))


def _overlap(regions: list[dict[str, Any]], expression: Expression) -> float:
    masks = [region_to_mask(region, expression.mask.shape) for region in regions]
    return Overlap.between(np.any(masks, axis=0), expression.mask).iou if masks else 0.0


@pytest.fixture(scope="module")
def scene() -> SampleScene:
    """A shipped scene."""
    return plain_scene()


def test_retrieving_predictions_stores_a_mask_under_the_label_whose_words_found_it(
    label_studio: LabelStudio, backend_server: BackendServer, scene: SampleScene
) -> None:
    expression = plain_expression(scene)
    config = _config(f'<Label value="Wanted" prompt="{expression.text}"/>')
    project, _, (task,) = new_project(label_studio, backend_server.url, config, scene)

    label_studio.api.retrieve_predictions(project)

    (prediction,) = label_studio.api.predictions(task)
    health = requests.post(f"{backend_server.url}/setup", json={"project": f"{project}.1", "schema": config}, timeout=10).json()
    assert prediction["model_version"] == health["model_version"]
    assert {region["from_name"] for region in prediction["result"]} == {"masks"}
    assert {label for region in prediction["result"] for label in region["value"]["brushlabels"]} == {"Wanted"}
    assert _overlap(prediction["result"], expression) > 0.5


def test_a_second_retrieve_asks_for_nothing_that_is_there(
    label_studio: LabelStudio, backend_server: BackendServer, scene: SampleScene
) -> None:
    project, _, tasks = new_project(label_studio, backend_server.url, _config('<Label value="rocket"/>'), scene, count=2)

    label_studio.api.retrieve_predictions(project)
    label_studio.api.retrieve_predictions(project)

    assert [len(label_studio.api.predictions(task)) for task in tasks] == [1, 1]


def test_one_unreadable_image_leaves_the_other_tasks_their_predictions(
    label_studio: LabelStudio, backend_server: BackendServer, scene: SampleScene
) -> None:
    api = label_studio.api
    project, _, (broken, whole) = new_project(label_studio, backend_server.url, _config('<Label value="rocket"/>'), scene, count=2)
    api.set_task_data(broken, {"picture": "/data/upload/0/no-such-file.png"})

    api.retrieve_predictions(project)

    assert [len(api.predictions(task)) for task in (broken, whole)] == [0, 1]


def test_a_typed_prompt_becomes_a_mask_that_remembers_it(
    label_studio: LabelStudio, backend_server: BackendServer, scene: SampleScene
) -> None:
    expression = plain_expression(scene)
    _, backend, (task,) = new_project(label_studio, backend_server.url, _config('<Label value="Object"/>'), scene)
    gesture = {**prompt_gesture(expression.text), "to_name": "photo"}

    answer = label_studio.api.interactive(backend, task, [gesture])

    regions = answer["data"]["result"]
    assert _overlap(regions, expression) > 0.5
    assert {tuple(region["meta"]["text"]) for region in regions} == {(expression.text,)}
    assert not label_studio.api.predictions(task), "a suggestion is not stored before somebody accepts it"


def test_a_prompt_that_names_nothing_gives_an_empty_answer_and_no_error(
    label_studio: LabelStudio, backend_server: BackendServer, scene: SampleScene
) -> None:
    _, backend, (task,) = new_project(label_studio, backend_server.url, _config('<Label value="Object"/>'), scene)

    answer = label_studio.api.interactive(backend, task, [{**prompt_gesture("   "), "to_name": "photo"}])

    assert answer["data"]["result"] == []
    assert "errors" not in answer
