"""``wordmask select``: what a person sees, and the tab that Label Studio gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backend.cli import app
from backend.task_view import TITLE
from models import answer_doubt, task_doubt
from models.answer import Evidence
from tests.backend.dataset.studio import Studio, brush, studio
from tests.factories import FakeEngine
from tests.local_http import Reply, Request

DOUBT = task_doubt(2 * [answer_doubt(Evidence(is_found=True, presence=0.9, predicted_iou=1.0, stability=1.0))])
"""Of two labels, both found with a score of 0.9."""


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Studio]:
    """A studio with three tasks, and settings that point at it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    with studio() as server:
        monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
        for blue in (0, 100, 200):
            server.add_task((20, 20, blue))
        yield server


@pytest.fixture
def views(running: Studio) -> list[dict[str, Any]]:
    """The tabs of the project; one is there already."""
    tabs: list[dict[str, Any]] = [{"id": 1, "data": {"title": "Default"}}]

    def list_or_add(request: Request) -> Reply:
        if request.method == "POST":
            tabs.append({"id": len(tabs) + 1, **json.loads(request.body)})
            return Reply(201, json.dumps(tabs[-1]).encode())
        return Reply(200, json.dumps(tabs).encode())

    def change(request: Request) -> Reply:
        tabs[1].update(json.loads(request.body))
        return Reply(200, b"{}")

    def order(request: Request) -> Reply:
        ids = json.loads(request.body)["ids"]
        tabs.sort(key=lambda tab: ids.index(tab["id"]))
        return Reply(200, b"")

    routes = {"/api/dm/views/": list_or_add, "/api/dm/views/2/": change, "/api/dm/views/order/": order}
    running.server.routes.update(routes)
    return tabs


def select(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["select", "--project", "1", *arguments], obj=lambda profile, **options: FakeEngine())


def test_the_most_valuable_tasks_are_printed(running: Studio) -> None:
    result = select("--budget", "2")
    assert result.exit_code == 0, result.output
    assert "2 of 3 tasks without annotation, as fake-1.0.0+00000000 sees them" in result.stdout
    assert f"{DOUBT:.3f}" in result.stdout


def test_programs_get_json(running: Studio) -> None:
    told = json.loads(select("--json", "--budget", "1").stdout)
    assert told == {"version": "fake-1.0.0+00000000", "chosen": [{"task": 1, "doubt": round(DOUBT, 4)}], "failed": {}, "tab": None}


def test_the_choice_becomes_the_first_tab_and_the_next_choice_takes_its_place(running: Studio, views: list[dict[str, Any]]) -> None:
    result = select("--budget", "2", "--order")
    assert result.exit_code == 0, result.output
    assert f"shown first at {running.url}/projects/1/data?tab=2" in result.stdout.replace("\n", "")
    assert [view["data"]["title"] for view in views] == [TITLE, "Default"]
    items = views[0]["data"]["filters"]["items"]
    assert [item["value"] for item in items] == [1, 3]
    assert views[0]["data"]["ordering"] == ["tasks:predictions_score"]

    views.reverse()
    running.annotate(1, brush())
    assert select("--budget", "1", "--order").exit_code == 0
    assert len(views) == 2
    (item,) = views[0]["data"]["filters"]["items"]
    assert item["value"] == 3, "the one that is least like what is annotated"


def test_a_project_that_nobody_has_opened_keeps_a_tab_of_everything(running: Studio, views: list[dict[str, Any]]) -> None:
    views.clear()
    assert select("--order").exit_code == 0
    assert [view["data"]["title"] for view in views] == [TITLE, "Default"]
    assert "filters" not in views[1]["data"]


def test_a_project_that_is_done_gets_no_tab(running: Studio, views: list[dict[str, Any]]) -> None:
    for task in (1, 2, 3):
        running.annotate(task, brush())
    result = select("--order")
    assert result.exit_code == 0
    assert "has an annotation" in result.stdout
    assert len(views) == 1


def test_tasks_that_cannot_be_looked_at_are_listed(running: Studio) -> None:
    running.add_task(image="[x]/etc/passwd")
    result = select()
    assert result.exit_code == 0
    assert "task 4 was left out" in result.stdout


def test_a_project_in_which_nothing_can_be_looked_at_is_a_failure(running: Studio) -> None:
    for task in running.tasks.values():
        task["data"]["image"] = "[x]/etc/passwd"
    result = select()
    assert result.exit_code == 1
    assert "no task could be looked at" in result.output


def test_without_label_studio_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    result = select()
    assert result.exit_code == 1
    assert "LABEL_STUDIO_URL is not set" in result.output
