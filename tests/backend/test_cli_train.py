"""``wordmask train photographs``: what cannot be trained is told in one line."""

from __future__ import annotations

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
