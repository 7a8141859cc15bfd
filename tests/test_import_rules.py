"""Who may import whom: models know nothing of the service; the service sees no torch and only public names of the models."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models import engine

ROOT = Path(__file__).parents[1]
FOREIGN_TO_MODELS = {
    "backend",
    "flask",
    "werkzeug",
    "gunicorn",
    "requests",
    "httpx",
    "label_studio_sdk",
    "label_studio_ml",
    "typer",
}
FOREIGN_TO_BACKEND = {"torch", "torchvision", "open_clip", "segment_anything", "safetensors"}


def imports_of(path: Path) -> list[tuple[str, list[str]]]:
    """Every import of a source file, wherever it stands, as (module, names); a plain ``import`` has no names."""
    found: list[tuple[str, list[str]]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            found.append((node.module or "", [alias.name for alias in node.names]))
    return found


def sources_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", sources_of("models"), ids=lambda path: str(path.relative_to(ROOT)))
def test_models_know_nothing_of_the_service(path: Path) -> None:
    wrong = [module for module, _ in imports_of(path) if module.split(".")[0] in FOREIGN_TO_MODELS]
    assert not wrong


@pytest.mark.parametrize("path", sources_of("backend"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_service_imports_no_torch_and_only_public_names_of_the_models(path: Path) -> None:
    for module, names in imports_of(path):
        top = module.split(".")[0]
        assert top not in FOREIGN_TO_BACKEND, f"{path.name} imports {module}"
        if top == "models":
            assert (module, bool(names)) == ("models", True), f"{path.name}: write `from models import NAME` instead of importing {module}"
            assert set(names) <= set(models.__all__), f"{path.name} imports what models does not export: {names}"


@pytest.mark.parametrize("package", ["models", "models.engine", "backend", "backend.app", "backend.cli"])
def test_importing_loads_no_torch(package: str) -> None:
    code = f"import sys, {package}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_public_name_of_the_models_exists() -> None:
    for name in models.__all__:
        assert getattr(models, name) is not None


def test_the_contract_of_engines_also_gives_who_builds_them() -> None:
    assert engine.load_engine is models.load_engine
    with pytest.raises(AttributeError, match=r"models\.engine.*'load_engines'.*Engine, .*load_engine"):
        _ = engine.load_engines
