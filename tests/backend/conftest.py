"""A service with a fake engine, ready to be called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.app import create_app
from tests.factories import FakeEngine, make_settings

MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def make_client(tmp_path: Path, engine: FakeEngine) -> MakeClient:
    """Build a client of a service; keyword arguments are settings."""

    def make(**settings: Any) -> FlaskClient:
        return create_app(make_settings(tmp_path, **settings), engine).test_client()

    return make


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    return make_client()
