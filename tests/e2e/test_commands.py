"""The commands that work on a project, against a real Label Studio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LabelStudio, new_project, plain_scene
from tools.backend_server import BackendServer

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="mask" toName="image"><Label value="rocket"/></BrushLabels>
</View>"""


def test_preannotate_gives_each_task_one_prediction_however_often_it_runs(
    label_studio: LabelStudio, backend_server: BackendServer, wordmask: Any
) -> None:
    project, _, tasks = new_project(label_studio, backend_server.url, CONFIG, plain_scene(), count=3)

    runs = [wordmask("preannotate", "--project", str(project)) for _ in range(2)]

    assert [done.returncode for done in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    assert [len(label_studio.api.predictions(task)) for task in tasks] == [1, 1, 1]


def test_doctor_finds_nothing_wrong_with_a_project_that_works(
    label_studio: LabelStudio, backend_server: BackendServer, wordmask: Any
) -> None:
    project, _, _ = new_project(label_studio, backend_server.url, CONFIG, plain_scene())

    done = wordmask("doctor", "--project", str(project), "--json")

    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert [check for check in report["checks"] if check["status"] == "fail"] == []


def test_doctor_names_a_backend_that_is_not_there_any_more(label_studio: LabelStudio, wordmask: Any, tmp_path: Path) -> None:
    with BackendServer(tmp_path / "short-lived", label_studio.url, label_studio.token) as gone:
        project, _, _ = new_project(label_studio, gone.url, CONFIG, plain_scene())

    done = wordmask("doctor", "--project", str(project), "--no-model")

    assert done.returncode == 1
    assert gone.url in done.stdout
