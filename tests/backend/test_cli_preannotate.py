from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backend.cli import app
from backend.versions.line import VersionLine
from models import find_weights
from models.version_folder import Base
from tests.backend.fake_studio import FakeStudio, fake_studio
from tests.backend.versions.drafts import publish
from tests.factories import FakeEngine, make_data_uri


@pytest.fixture
def studio() -> Iterator[FakeStudio]:
    with fake_studio() as running:
        yield running


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, studio: FakeStudio) -> pytest.MonkeyPatch:
    """Settings that point at the studio, and nothing of a developer's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("WORDMASK_DATA_DIR", str(tmp_path / "data"))
    return monkeypatch


def run(*arguments: str, engine: FakeEngine | None = None) -> Result:
    chosen = engine or FakeEngine()
    return CliRunner().invoke(app, ["preannotate", "--project", "1", *arguments], obj=lambda profile, **options: chosen)


def test_run_ends_with_the_numbers(environment: Any, studio: FakeStudio) -> None:
    studio.add_tasks(*[{"image": make_data_uri()}] * 3)
    result = run()
    assert result.exit_code == 0, result.output
    assert "project 1: 3 done, 0 empty, 0 failed, 0 skipped" in result.stdout
    assert "0 done, 0 empty, 0 failed, 3 skipped" in run().stdout


def test_the_version_that_serves_the_project_predicts(environment: Any, studio: FakeStudio, tmp_path: Path) -> None:
    studio.add_tasks({"image": make_data_uri()})
    line = VersionLine(tmp_path / "data", 1)
    version = publish(line, "v1", base=Base("tiny", find_weights("tiny").version, ""))
    asked: list[str] = []

    def load(profile: str, **options: Any) -> FakeEngine:
        asked.append(profile)
        return FakeEngine(version="v1" if len(asked) == 1 else "tiny")

    for arguments in ([], ["--profile", "tiny"]):
        CliRunner().invoke(app, ["preannotate", "--project", "1", *arguments], obj=load)
    assert asked == [str(version.folder), "tiny"]
    assert studio.versions_of(1) == ["v1", "tiny"]


def test_failed_tasks_are_listed_with_their_reason_and_set_the_exit_code(environment: Any, studio: FakeStudio) -> None:
    studio.add_tasks({"image": make_data_uri()}, {"image": "[x]/etc/passwd"}, {"image": "[x]/etc/passwd"})
    result = run()
    assert result.exit_code == 1
    assert "1 done, 0 empty, 2 failed" in result.stdout
    assert "2 x '[x]/etc/passwd' is not an address" in result.stdout
    assert "(tasks 2, 3)" in result.stdout


def test_prompt_on_a_finished_project_points_at_all(environment: Any, studio: FakeStudio) -> None:
    studio.add_tasks({"image": make_data_uri()})
    run()
    assert "--all predicts them again" in run("--prompt", "red dog").stdout
    engine = FakeEngine()
    assert "1 done" in run("--prompt", "red dog", "--all", engine=engine).stdout
    assert "red dog" in [phrase for _, phrases in engine.calls for phrase in phrases]


def test_field_names_where_prompts_are(environment: Any, studio: FakeStudio) -> None:
    studio.add_tasks({"image": make_data_uri(), "caption": "left dog"})
    engine = FakeEngine()
    run("--field", "caption", engine=engine)
    assert "left dog" in [phrase for _, phrases in engine.calls for phrase in phrases]


def test_label_studio_that_gives_up_ends_the_run_with_what_was_done(environment: Any, studio: FakeStudio) -> None:
    studio.add_tasks(*[{"image": make_data_uri()}] * 3)
    studio.failures = [401] * 9
    result = run()
    assert result.exit_code == 1
    assert "0 done" in result.stdout
    assert "wordmask: " in result.stderr
    assert "legacy token was refused" in result.stderr


def test_missing_address_is_one_line(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("LABEL_STUDIO_URL")
    result = run()
    assert result.exit_code == 1
    assert result.stderr.startswith("wordmask: LABEL_STUDIO_URL is not set")


def test_config_without_a_control_for_masks_is_one_line(environment: Any, studio: FakeStudio) -> None:
    studio.server.routes["/api/projects/1"] = studio.json({"id": 1, "label_config": "<View/>", "task_number": 0})
    result = run()
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
