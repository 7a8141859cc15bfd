"""The commands that work on a project, against a real Label Studio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


@pytest.fixture
def wordmask(label_studio: LabelStudio, tmp_path: Path) -> Any:
    """Runs the installed command as a person would, with Label Studio's address and token in the environment."""
    environment = {
        **os.environ,
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
        "WORDMASK_DATA_DIR": str(tmp_path / "data"),
        "NO_PROXY": "127.0.0.1,localhost",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "wordmask"), *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

    return run


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
