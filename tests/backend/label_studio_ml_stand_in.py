"""The documented contract of ``label_studio_ml`` 2.x, in small: what its model class offers and what its server does with ours.

The library cannot be installed from an index, so the adapter's tests run against this, and against the library where it is there.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from flask import Flask, request


class LabelStudioMLBase:
    """One object per request; ``get`` and ``set`` keep texts per project."""

    store: dict[tuple[str, str], str]

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        if not self.get("model_version"):
            self.set("model_version", "0.0.1")
        self.setup()

    def setup(self) -> None:
        """Meant to be overridden."""

    def get(self, key: str) -> str | None:
        return self.store.get((self.project_id, key))

    def set(self, key: str, value: str) -> None:
        if not isinstance(value, str):
            raise ValueError("Value must be a string")
        self.store[self.project_id, key] = value

    def set_extra_params(self, extra_params: str) -> None:
        self.set("extra_params", extra_params)


def init_app(model_class: type[Any], basic_auth_user: str | None = None, basic_auth_pass: str | None = None) -> Flask:
    """A server that makes a model for every request."""
    app = Flask("label_studio_ml_stand_in")

    @app.post("/predict")
    def predict() -> dict[str, Any]:
        data = request.get_json()
        model = model_class(project_id=str(data["project"]).split(".")[0], label_config=data["label_config"])
        params = data.get("params", {})
        context = params.pop("context", {})
        return {"results": model.predict(data["tasks"], context=context, **params)}

    @app.post("/setup")
    def setup() -> dict[str, Any]:
        data = request.get_json()
        model = model_class(project_id=data["project"].split(".")[0], label_config=data["schema"])
        if data.get("extra_params"):
            model.set_extra_params(data["extra_params"])
        return {"model_version": model.get("model_version")}

    @app.post("/webhook")
    def webhook() -> tuple[dict[str, Any], int]:
        data = request.get_json()
        event = data.pop("action")
        model = model_class(str(data["project"]["id"]), label_config=data["project"]["label_config"])
        return {"result": model.fit(event, data), "status": "ok"}, 201

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "UP", "model_class": model_class.__name__}

    return app


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import label_studio_ml`` find this module's names, until the test is over."""
    package, model, api = (ModuleType(name) for name in ("label_studio_ml", "label_studio_ml.model", "label_studio_ml.api"))
    model.LabelStudioMLBase = type("LabelStudioMLBase", (LabelStudioMLBase,), {"store": {}})  # type: ignore[attr-defined]
    api.init_app = init_app  # type: ignore[attr-defined]
    for module in (package, model, api):
        monkeypatch.setitem(sys.modules, module.__name__, module)
