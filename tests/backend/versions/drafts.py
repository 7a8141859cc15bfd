"""Versions as fine-tuning leaves them, without any training."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.versions.line import Version, VersionLine
from models import VersionManifest
from models.version_folder import Base, CurvePoint, LabelScore, Scores

BASE = "fake-1.0.0+00000000"
"""Of :class:`tests.factories.FakeEngine`."""


def make_manifest(
    version: str = "v1", *, parent: str | None = None, mean: float = 0.6, before: float = 0.5, **fields: Any
) -> VersionManifest:
    """A manifest of a version that is better than what it came from, unless told otherwise."""
    values: dict[str, Any] = {
        "version": version,
        "base": Base("fake", BASE, "0" * 64),
        "parent": parent,
        "data_digest": "d" * 8,
        "configuration": {"steps": 3},
        "measured_on": "validation",
        "serving": Scores(before, {"Dog": LabelScore(before, 4)}),
        "candidate": Scores(mean, {"Dog": LabelScore(mean, 4)}),
        "curve": [CurvePoint(1, 0.7, mean)],
        "wall_seconds": 1.5,
        "created": datetime.now(UTC).isoformat(),
    }
    return VersionManifest(**{**values, **fields})


def write_draft(folder: Path, manifest: VersionManifest | None = None, weights: bytes = b"delta") -> Path:
    """A folder that can be published."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "delta.safetensors").write_bytes(weights)
    (folder / "manifest.json").write_text(json.dumps((manifest or make_manifest()).to_json()), encoding="utf-8")
    return folder


def publish(line: VersionLine, version: str, **fields: Any) -> Version:
    """Publish a version whose weights are its name."""
    serving = line.serving()
    manifest = make_manifest(version, **{"parent": serving.name if serving else None, **fields})
    return line.publish(write_draft(line.new_draft(), manifest, version.encode()))
