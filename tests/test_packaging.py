"""What is promised about installing: plain pins for every direct dependency, and a wheel that holds everything that is read at run time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA_SUFFIXES = (".safetensors", ".toml", ".json", ".png", ".jpg", ".webp", ".txt", ".md", ".html", ".css", ".js")


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def _pins(file: str) -> list[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-label-studio.txt"])
def test_constraints_are_plain_pins_that_any_index_serves(file: str) -> None:
    odd = [line for line in _pins(file) if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]

    assert not odd


def test_every_direct_dependency_is_pinned() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = {_name(line) for line in [*PYPROJECT["project"]["dependencies"], *extras["train"], *extras["dev"]]} - {"wordmask"}

    assert wanted <= {_name(line) for line in _pins("constraints.txt")}


@pytest.mark.slow
def test_the_wheel_holds_all_modules_and_the_data_that_they_read(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy: building leaves files beside the sources
    for name in ("backend", "models"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)

    (wheel,) = tmp_path.glob("wordmask-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "backend", "models"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {path for path in tracked if path.endswith((".py", *DATA_SUFFIXES))} <= inside
    assert not [path for path in inside if path.startswith(("tests", "tools", "benchmarks"))]
