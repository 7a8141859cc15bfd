"""The version that comes of a run: written, read back and measured as it will serve, and only then given its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from models.version_folder import DELTA_FILE, VERSION_FILE, Base, VersionManifest
from models.weights_folder import WeightsFolder, profiles
from models.weights_tensors import replacing, save_delta


def base_of(profile: str, folder: WeightsFolder) -> Base:
    """How a manifest names the weights it changes; a path is kept absolute."""
    return Base(profile if profile in profiles() else str(folder.path), folder.version, folder.digest)


def write_delta(out: Path, tensors: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> list[str]:
    """Write what differs from the base; the folder is no version yet. Returns the names."""
    out.mkdir(parents=True, exist_ok=True)
    (out / VERSION_FILE).unlink(missing_ok=True)
    return save_delta(out / DELTA_FILE, tensors, base)


def write_version_manifest(out: Path, manifest: VersionManifest) -> None:
    """Complete the folder; replaces the manifest at once."""
    with replacing(out / VERSION_FILE) as file:
        file.write((json.dumps(manifest.to_json(), indent=1) + "\n").encode())


def draft_folder(base: WeightsFolder, out: Path, version: str, engine: Mapping[str, object]) -> WeightsFolder:
    """The weights of a version whose manifest is not written yet."""
    return replace(base, manifest={**base.manifest, **engine}, version=version, delta=out / DELTA_FILE)
