"""The README keeps its promises: every code block runs, or says in its first line why it is not run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.label_config import parse_label_config

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REASON = re.compile(r"# Not run by the tests: \w.+")
SHOWN_ONLY = {"text"}
"""Languages of blocks that show what something looks like."""


@dataclass(frozen=True)
class Block:
    """A fenced block of the README."""

    language: str
    text: str
    line: int

    @property
    def has_reason(self) -> bool:
        """Whether it says why it is not run."""
        return REASON.match(self.text) is not None


def _blocks() -> list[Block]:
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], README.count("\n", 0, match.start()) + 1) for match in fences]


def _parameters(*languages: str) -> list[object]:
    chosen = [block for block in _blocks() if block.language in languages and not block.has_reason]
    return [pytest.param(block, id=f"line {block.line}") for block in chosen]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder that looks like the repository, so that what a block writes does not land in it."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name not in {"build", "demo-output"}:
            (tmp_path / entry.name).symlink_to(entry)
    return tmp_path


def _run(command: list[str], folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {"bash", "python", "xml", "json"} | SHOWN_ONLY

    assert {block.language for block in _blocks()} <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("block", _parameters("bash"))
def test_bash_blocks_run(block: Block, workplace: Path) -> None:
    _run(["bash", "-euo", "pipefail", "-c", block.text], workplace)


@pytest.mark.slow
@pytest.mark.parametrize("block", _parameters("python"))
def test_python_blocks_run(block: Block, workplace: Path) -> None:
    _run([sys.executable, "-c", block.text], workplace)


@pytest.mark.parametrize("block", _parameters("xml"))
def test_labeling_configs_are_ones_that_the_backend_understands(block: Block) -> None:
    assert parse_label_config(block.text).outputs


@pytest.mark.parametrize("block", _parameters("json"))
def test_json_blocks_are_json(block: Block) -> None:
    assert json.loads(block.text)


def test_what_the_readme_links_to_exists() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)|<img src=\"([^\":]+)\"", README)

    missing = [path for pair in targets for path in pair if path and not (ROOT / path).exists()]
    assert not missing
