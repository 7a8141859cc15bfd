"""What to annotate next, in a real Label Studio: its label stream and a tab of its Data Manager begin with the most doubtful tasks."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from models.data.sample_scenes import load_sample_scenes
from tests.e2e.conftest import LabelStudio
from tools.backend_server import BackendServer
from tools.editor import Editor

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="masks" toName="image" model="ssp-sam">
<Label value="Bear"/><Label value="Cat"/><Label value="Tree"/></BrushLabels></View>"""


@pytest.fixture
def project(label_studio: LabelStudio) -> int:
    """A project with five scenes."""
    number = label_studio.api.create_project(f"next {uuid.uuid4().hex[:8]}", CONFIG)
    label_studio.api.upload_images(number, [scene.path for scene in load_sample_scenes()[:5]])
    return number


def test_the_label_stream_begins_with_the_most_doubtful_task(
    label_studio: LabelStudio, backend_server: BackendServer, project: int, wordmask: Any
) -> None:
    assert wordmask("connect", "--project", str(project), "--url", backend_server.url).returncode == 0
    assert wordmask("preannotate", "--project", str(project)).returncode == 0
    listed = label_studio.api.call("GET", f"/api/tasks?project={project}&fields=all&page_size=100")["tasks"]
    by_score = sorted(listed, key=lambda task: task["predictions_score"])
    assert 0 <= by_score[0]["predictions_score"] < by_score[-1]["predictions_score"] <= 1
    assert label_studio.api.call("GET", f"/api/projects/{project}/next")["id"] == by_score[0]["id"]


@pytest.mark.browser
def test_a_choice_becomes_a_tab_that_the_data_manager_shows(
    label_studio: LabelStudio, editor: Editor, project: int, wordmask: Any, artefacts: Path
) -> None:
    done = wordmask("select", "--project", str(project), "--budget", "2", "--order", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    chosen = [one["task"] for one in told["chosen"]]
    assert len(chosen) == 2
    tab = int(told["tab"].rpartition("=")[2])
    assert label_studio.api.call("GET", f"/api/dm/views?project={project}")[0]["id"] == tab
    shown = label_studio.api.call("GET", f"/api/tasks?project={project}&view={tab}")["tasks"]
    assert {task["id"] for task in shown} == set(chosen)

    again = json.loads(wordmask("select", "--project", str(project), "--budget", "3", "--order", "--json").stdout)
    assert again["tab"] == told["tab"], "the choice before gives way"
    assert [one["task"] for one in again["chosen"]][:2] == chosen
    editor.page.goto(again["tab"])
    editor.page.get_by_text("Wordmask: annotate next").first.wait_for()
    editor.page.wait_for_load_state("networkidle")
    editor.screenshot(artefacts / "next-batch.png")
    assert "Tasks: 3 / 5" in " ".join(editor.page.inner_text("body").split())
    assert editor.page.get_by_text("Default").count() == 1, "the tab of everything is there, too"
