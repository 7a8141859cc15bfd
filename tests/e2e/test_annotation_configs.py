"""Every labeling config in ``annotation_configs/`` is one that Label Studio takes and our backend serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import LabelStudio
from tools.backend_server import BackendServer

pytestmark = [pytest.mark.slow, pytest.mark.label_studio]

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "annotation_configs").glob("*.xml"))


def test_there_are_configs() -> None:
    assert CONFIGS


@pytest.mark.parametrize("config", [pytest.param(path, id=path.stem) for path in CONFIGS])
def test_label_studio_accepts_the_config_and_the_backend_serves_it(
    config: Path, label_studio: LabelStudio, backend_server: BackendServer
) -> None:
    api = label_studio.api
    xml = config.read_text(encoding="utf-8")

    project = api.create_project(config.stem[:50], xml)
    api.call("POST", f"/api/projects/{project}/validate", json={"label_config": xml})
    backend = api.connect_backend(project, backend_server.url)

    assert api.call("GET", f"/api/projects/{project}")["label_config"].strip() == xml.strip()
    assert api.call("GET", f"/api/ml/{backend}")["state"] == "CO"
