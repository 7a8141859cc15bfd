"""A real Label Studio, our real service and a real Chromium, each started once for all end-to-end tests that need it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from models.data.sample_scenes import SampleScene, load_sample_scenes
from models.evaluation import Expression
from tools.backend_server import BackendServer
from tools.editor import Editor, open_browser
from tools.label_studio_api import LabelStudioApi
from tools.label_studio_server import EMAIL, PASSWORD, new_label_studio


@dataclass(frozen=True)
class LabelStudio:
    """A running Label Studio: where it is, the token of its only user, and its API."""

    url: str
    token: str
    api: LabelStudioApi


def plain_scene() -> SampleScene:
    """Two bears, a rocket and a hamburger, large and apart: these tests are about the way from words to annotations.

    How good the model is elsewhere is what ``tests/test_floor.py`` measures.
    """
    return next(scene for scene in load_sample_scenes() if scene.path.name == "teddy-bears.png")


def plain_expression(scene: SampleScene) -> Expression:
    """ "red rocket": what the model surely finds there, for the same reason."""
    return next(one for one in scene.sample.expressions if one.kind == "name_color")


def new_project(label_studio: LabelStudio, backend_url: str, config: str, scene: SampleScene, count: int = 1) -> tuple[int, int, list[int]]:
    """A project with ``count`` tasks of one scene, connected to the backend: ids of project, backend and tasks."""
    api = label_studio.api
    project = api.create_project(f"test {uuid.uuid4().hex[:8]}", config)
    tasks = [task["id"] for task in api.upload_images(project, [scene.path] * count)]
    return project, api.connect_backend(project, backend_url), tasks


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """A Label Studio of its own, empty at the start."""
    with new_label_studio(tmp_path_factory.mktemp("label-studio")) as server:
        api = LabelStudioApi(server.url, server.token)
        yield LabelStudio(server.url, server.token, api)
        api.close()


@pytest.fixture(scope="session")
def backend_server(label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendServer]:
    """Our service with the shipped weights, connected to that Label Studio."""
    with BackendServer(tmp_path_factory.mktemp("backend"), label_studio.url, label_studio.token) as server:
        yield server


@pytest.fixture
def wordmask(label_studio: LabelStudio, tmp_path: Path) -> Any:
    """Runs the installed command as a person would, with Label Studio's address and token in the environment."""
    environment = {
        **os.environ,
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
        "WORDMASK_DATA_DIR": str(tmp_path / "data"),
        "NO_PROXY": "127.0.0.1,localhost",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "wordmask"), *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

    return run


@pytest.fixture(scope="module")  # not longer: Playwright keeps an event loop in this thread while the browser is open
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def editor(browser: Browser, label_studio: LabelStudio) -> Iterator[Editor]:
    """A fresh page, logged in."""
    opened = Editor(browser, label_studio.url)
    opened.log_in(EMAIL, PASSWORD)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Folder whose files are kept after the tests, for people to look at."""
    folder = Path(__file__).resolve().parents[2] / ".cache" / "test-artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
