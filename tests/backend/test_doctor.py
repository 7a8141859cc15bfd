from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backend.checkpoints.profiles import ProfileState
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
from backend.doctor_backends import check_unconnected
from backend.doctor_weights import FileFacts, check_devices, check_files, check_weights
from backend.errors import NotReady
from backend.label_config import parse_label_config
from models import Profile
from tests.backend.messages import CONFIG
from tests.factories import FakeEngine
from tests.local_http import local_server

PLAN = parse_label_config(CONFIG)
LABELS_ONLY = """<View><Image name="i" value="$i"/>
<BrushLabels name="b" toName="i"><Label value="Sky" model_kind="stuff"/><Label value="Dog" prompt=""/></BrushLabels></View>"""
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
        pytest.param(check_config(CONFIG)[0], "ok", "BrushLabels 'brush' on 'image' by ssp-sam: Dog, Cat", id="good config"),
        pytest.param(
            check_config(CONFIG.replace('value="Cat"', 'value="Cat" prompt="kitten"'))[0], "ok", "Cat (asked for as kitten)", id="words"
        ),
        pytest.param(check_config(LABELS_ONLY)[0], "ok", "'b' on 'i' by sam-mi: Sky (stuff), Dog (never asked for)", id="labels only"),
        pytest.param(
            check_config(LABELS_ONLY.replace('name="b"', 'name="b" model="sam"'))[0], "fail", "sam-mi or ssp-sam", id="no such model"
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
    assert [check["name"] for check in found["checks"]] == ["packages", "data folder", "weights", "published files", "settings"]
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


# --- devices, weights and published files


@dataclass(frozen=True)
class Device:
    name: str
    title: str
    free_bytes: int | None = None


CPU, GPU = Device("cpu", "processor, 8 threads"), Device("cuda:0", "H200", 139 * GIB)
SMALL = Profile(name="small", title="", architecture="ssp-sam", config="contract", checkpoint="small")
STEP = "wordmask checkpoints convert small"


@pytest.mark.parametrize(
    ("check", "status", "says"),
    [
        pytest.param(check_devices([CPU], "auto"), "ok", "cpu (processor, 8 threads); auto takes cpu", id="no GPU"),
        pytest.param(check_devices([GPU, CPU], "auto"), "ok", "cuda:0 (H200, 139 GiB free), cpu", id="GPU"),
        pytest.param(check_devices([GPU, CPU], "cuda"), "ok", "takes cuda", id="any GPU"),
        pytest.param(
            check_devices([CPU], "cuda:0"), "fail", "WORDMASK_DEVICE=cuda:0 is not here; there are cpu", id="GPU that is not there"
        ),
        pytest.param(check_weights("tiny", None, "tiny-1", ""), "ok", "tiny stands for tiny-1", id="good weights"),
        pytest.param(
            check_weights("small", ProfileState(SMALL, Path("/w/small"), True, ""), "small-1", ""),
            "ok",
            "small-1 in /w/small",
            id="converted",
        ),
        pytest.param(
            check_weights("small", ProfileState(SMALL, None, False, STEP), "", "not here"),
            "fail",
            f"{STEP}; or all of it: wordmask serve --profile small --fetch",
            id="not converted",
        ),
        pytest.param(check_weights("/x", None, "", "no engine.json in /x"), "fail", "no engine.json in /x", id="broken folder"),
        pytest.param(check_files("/f", []), "ok", "none in /f", id="no files"),
        pytest.param(
            check_files("/f", [FileFacts("a", GIB, GIB), FileFacts("b", GIB, None)]), "ok", "a, b, 2.0 GiB in /f", id="good files"
        ),
        pytest.param(check_files("/f", [FileFacts("a", 5, 7)]), "fail", "a has 5 bytes, expected 7", id="cut short"),
        pytest.param(check_files("/f", [FileFacts("a", 0, None, True)]), "warn", "wordmask checkpoints fetch a", id="in part"),
        pytest.param(check_unconnected(0), "warn", "no project that this token can see", id="no projects"),
        pytest.param(check_unconnected(3), "warn", "none of the 3 projects", id="no backends"),
    ],
)
def test_machine_and_weights_are_judged_by_the_facts(check: Check, status: str, says: str) -> None:
    assert check.status == status
    assert says in f"{check.message} {check.remedy}"
    assert check.status == "ok" or check.remedy


def test_this_machines_devices_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "devices: " in (found := run_doctor(monkeypatch, tmp_path).stdout)
    assert "cpu (processor, " in found


def test_a_profile_whose_weights_are_not_here_fails_with_the_next_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = run_doctor(monkeypatch, tmp_path, "--no-model", WORDMASK_PROFILE="ssp-sam-336").stdout
    assert "wordmask checkpoints fetch ssp-sam-336, then wordmask checkpoints convert ssp-sam-336" in found


def test_published_files_are_counted_and_cut_ones_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "checkpoints"
    (store / "sam-vit-b").mkdir(parents=True)
    (store / "sam-vit-b" / "sam_vit_b_01ec64.pth").write_bytes(b"PK")
    found = run_doctor(monkeypatch, tmp_path, "--no-model", WORDMASK_CHECKPOINT_DIR=str(store)).stdout
    assert "checkpoint folder: " in found
    assert "sam-vit-b has 2 bytes, expected 375,042,383" in found


def test_a_registry_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = run_doctor(monkeypatch, tmp_path, "--no-model", WORDMASK_CHECKPOINT_REGISTRY=str(tmp_path / "absent.toml")).stdout
    assert "absent.toml cannot be read as a registry" in found
