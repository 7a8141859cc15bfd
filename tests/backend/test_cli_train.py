"""``wordmask train``: what cannot be trained is told in one line, and processes are started to share the steps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.cli import app
from tests.label_map_world import write_coco_stuff


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--base", "tiny", "--recipe", "huge"], "unknown recipe 'huge'; the recipes are coco-stuff-vit-b", id="recipe"),
        pytest.param(["--base", "nobody", "--steps", "1"], "nobody", id="profile"),
        pytest.param(["--base", "tiny", "--steps", "1"], "clip-vit-b-sam-vit-b", id="encoders of another size"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    folder = write_coco_stuff(tmp_path / "set", 1)
    result = CliRunner().invoke(app, ["train", "photographs", str(folder), "--run", str(tmp_path / "run"), *options])
    assert result.exit_code == 1
    [line] = result.stderr.strip().split("\n")
    assert message in line


def test_a_folder_that_is_no_set_of_label_maps_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "photographs", str(tmp_path), "--base", "tiny", "--run", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "is no set of label maps" in result.stderr


@pytest.mark.slow
def test_processes_that_share_the_steps_run_the_same_command(tmp_path: Path) -> None:
    wordmask = Path(sys.executable).with_name("wordmask")
    folders = ["--data", tmp_path / "scenes", "--run", tmp_path / "run"]
    command = [wordmask, "train", "tiny", *folders, "--until", "dessert", "--processes", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {"COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode != 0
    assert done.stderr.count("unknown stage 'dessert'; the stages are clip, sam, prompt, joint") == 2, "once by each process"
    assert "OMP_NUM_THREADS" not in done.stderr, "how many threads a process has is said to torchrun, not left to its advice"
