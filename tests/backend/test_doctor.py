from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backend.cli import app
from backend.doctor import (
    Check,
    check_addresses,
    check_config,
    check_data_folder,
    check_interaction,
    check_python,
    check_tasks,
    check_token,
)
from backend.errors import NotReady
from backend.label_config import parse_label_config
from tests.backend.messages import CONFIG
from tests.factories import FakeEngine
from tests.local_http import local_server

PLAN = parse_label_config(CONFIG)
GIB = 2**30


@pytest.mark.parametrize(
    ("check", "status", "says"),
    [
        pytest.param(check_python((3, 12), {"torch": "2.9"}), "ok", "Python 3.12, torch 2.9", id="tested Python"),
        pytest.param(check_python((3, 15), {}), "warn", "3.11 to 3.13", id="untested Python"),
        pytest.param(check_data_folder("/d", 9 * GIB, ""), "ok", "9.0 GiB", id="room"),
        pytest.param(check_data_folder("/d", GIB, ""), "warn", "WORDMASK_DATA_DIR", id="little room"),
        pytest.param(check_data_folder("/d", 0, "Permission denied"), "fail", "Permission denied", id="read-only folder"),
        pytest.param(check_addresses(None, False), "fail", "LABEL_STUDIO_URL is not set", id="no address"),
        pytest.param(check_addresses("http://h", False), "fail", "LABEL_STUDIO_API_KEY", id="no token"),
        pytest.param(check_addresses("http://h", True), "ok", "http://h", id="address and token"),
        pytest.param(check_token("personal", None), "ok", "personal access token", id="personal token"),
        pytest.param(check_token("access", None), "warn", "five minutes", id="access token"),
        pytest.param(check_token("legacy", {"legacy_api_tokens_enabled": False}), "warn", "switched off", id="legacy off"),
        pytest.param(check_token("legacy", {"legacy_api_tokens_enabled": True}), "ok", "legacy token", id="legacy on"),
        pytest.param(check_config("<View/>")[0], "fail", "Settings > Labeling Interface", id="config without image"),
        pytest.param(check_config(CONFIG)[0], "ok", "BrushLabels 'brush' on 'image': Dog, Cat", id="good config"),
        pytest.param(
            check_config(CONFIG.replace('value="Cat"', 'value="Cat" prompt="kitten"'))[0], "ok", "Cat (asked for as kitten)", id="words"
        ),
        pytest.param(check_interaction(PLAN), "ok", "smart keypoint tool, smart rectangle tool, text box", id="tools"),
        pytest.param(check_interaction(PLAN), "ok", "take the smart tool first", id="order of clicks"),
        pytest.param(check_tasks([], PLAN, 0), "warn", "no tasks", id="no tasks"),
        pytest.param(check_tasks([{"id": 1, "data": {"image": "a"}}], PLAN, 1), "ok", "1 tasks with 'image'", id="good tasks"),
        pytest.param(check_tasks([{"id": 1, "data": {"photo": "a"}}], PLAN, 1), "fail", "has 'photo'", id="wrong field everywhere"),
        pytest.param(
            check_tasks([{"id": 1, "data": {"image": "a"}}, {"id": 7, "data": {}}], PLAN, 2), "warn", "as task 7", id="field missing once"
        ),
    ],
)
def test_answer_and_remedy_fit_the_facts(check: Check, status: str, says: str) -> None:
    assert check.status == status
    assert says in f"{check.message} {check.remedy}"
    assert check.status == "ok" or check.remedy


def test_config_without_ways_to_ask_is_pointed_out() -> None:
    plan = parse_label_config(
        '<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i"><Label value="Dog"/></BrushLabels></View>'
    )
    check = check_interaction(plan)
    assert check.status == "warn"
    assert "TextArea" in check.remedy


def run_doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str, load: Any = None, **environment: str) -> Result:
    monkeypatch.chdir(tmp_path)  # no .env of a developer
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORDMASK_DATA_DIR": str(tmp_path / "data"), **environment}.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["doctor", *arguments], obj=load or (lambda profile, **options: FakeEngine()))


def test_machine_without_settings_fails_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run_doctor(monkeypatch, tmp_path)
    assert result.exit_code == 1
    assert "fake-1.0.0+00000000" in result.stdout
    assert "LABEL_STUDIO_URL is not set" in result.stdout
    assert "1 wrong" in result.stdout


def test_json_is_one_object_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run_doctor(monkeypatch, tmp_path, "--json", "--no-model")
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert [check["name"] for check in found["checks"]] == ["packages", "data folder", "settings"]
    assert set(found["checks"][0]) == {"name", "status", "message", "remedy"}


def test_model_that_does_not_load_is_named_and_the_rest_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(profile: str, **options: Any) -> FakeEngine:
        raise ValueError(f"no profile {profile!r}")

    result = run_doctor(monkeypatch, tmp_path, load=fail, WORDMASK_PROFILE="huge")
    assert "no profile 'huge'" in result.stdout
    assert "LABEL_STUDIO_URL is not set" in result.stdout


def test_label_studio_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with local_server() as gone:
        url = gone.url
    result = run_doctor(monkeypatch, tmp_path, "--no-model", LABEL_STUDIO_URL=url, LABEL_STUDIO_API_KEY="0123456789")
    assert result.exit_code == 1
    assert f"no answer from Label Studio at {url}" in result.stdout
    assert "0123456789" not in result.output


def test_error_of_loading_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(profile: str, **options: Any) -> FakeEngine:
        raise NotReady("weights are missing")

    assert "weights are missing" in run_doctor(monkeypatch, tmp_path, load=fail).stdout
