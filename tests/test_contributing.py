"""What the guide for contributors names is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from backend.cli import app
from models.ssp_sam.config import contract
from models.ssp_sam.model import SspSam
from tests.models.ssp_sam.files import write_official

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"wordmask ((?:\w[\w-]* )*\w[\w-]*)((?: --[\w-]+(?: [\w./]+)?)*)", GUIDE)


def test_files_and_folders_exist() -> None:
    named = set(re.findall(r"`((?:models|backend|tests|tools)/[\w./]*)`", GUIDE))
    assert len(named) > 5
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("models.loading", "BUILDERS"),
        ("models.ssp_sam.weights", "ARCHITECTURE"),
        ("models.ssp_sam.weights", "build_engine"),
        ("models.weights_tensors", "load_weights"),
        ("models.weights_tensors", "save_weights_folder"),
        ("models", "find_weights"),
        ("models.training.tiny_recipe", "RELEASE"),
    ],
)
def test_what_an_engine_is_built_with_has_these_names(module: str, name: str) -> None:
    assert name in GUIDE
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("words", "options"), COMMANDS, ids=lambda part: part.strip() or "no options")
def test_commands_have_the_options_that_are_given(words: str, options: str) -> None:
    command = get_command(app)
    for word in words.split():
        assert word in command.commands  # type: ignore[attr-defined]
        command = command.commands[word]  # type: ignore[attr-defined]
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert set(re.findall(r"--[\w-]+", options)) <= known


def test_the_network_is_called_as_the_guide_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sizes of the test network in place of the published ones."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    write_official(tmp_path / "checkpoint_best_miou.pth", SspSam(contract()))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block.replace("ssp_sam_224", "contract"), "CONTRIBUTING.md", "exec"), names)
    assert names["prediction"].box.shape == (1, 4)
    assert names["prediction"].low_res_logits.shape == (1, 32, 32)
    assert names["mask_logits"].shape == (1, 64, 64)
