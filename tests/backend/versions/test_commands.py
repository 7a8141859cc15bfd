"""``wordmask versions``: what a project has learned is listed, shown, rolled back and pruned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.versions.line import VersionLine
from tests.backend.versions.drafts import publish

Command = Callable[..., str]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs ``wordmask versions`` for project 1 and returns what it printed."""
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path))
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(name: str, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["versions", name, "--project", "1", *arguments], env={"COLUMNS": "200"})
        assert done.exit_code == code, done.output
        return done.output

    return run


@pytest.fixture
def line(tmp_path: Path) -> VersionLine:
    return VersionLine(tmp_path, 1)


def test_a_project_without_versions_says_so(command: Command) -> None:
    assert "no version of its own yet" in command("list")
    assert "base weights" in command("show")
    assert "nothing to remove" in command("prune")
    assert "nothing before" in command("rollback", code=1)


def test_versions_are_listed_and_shown(command: Command, line: VersionLine) -> None:
    publish(line, "v1", mean=0.61, before=0.5)
    publish(line, "v2", mean=0.7, before=0.61)
    rows = command("list").splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [["1", "v1", "base"], ["serves", "2", "v2"]]
    assert "0.700" in rows[2]
    assert json.loads(command("list", "--json"))["serving"] == "v2"
    assert json.loads(command("show"))["version"] == "v2"
    assert json.loads(command("show", "1"))["scores"]["candidate"]["mean"] == 0.61
    assert "no version 'v9'" in command("show", "v9", code=1)


def test_versions_are_rolled_back_and_pruned(command: Command, line: VersionLine) -> None:
    for number in range(1, 5):
        publish(line, f"v{number}")
    assert "served by v3" in command("rollback")
    assert "served by the base weights" in command("rollback", "--to", "base")
    assert "the base weights serve" in command("list")
    assert command("prune", "--keep", "2").split() == ["removed", "v1", "removed", "v2"]
    assert "no version 'v1'; it has: v3, v4" in command("rollback", "--to", "v1", code=1)
