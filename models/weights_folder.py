"""A folder of weights: ``model.safetensors`` (half precision, our own names) and ``engine.json`` (what kind of engine they make).

This file knows folders, not networks; each architecture reads the rest of the manifest itself (see :mod:`models.loading`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from models.strict_weights import WeightsError, check_fit, copy_tensors

WEIGHTS_FILE = "model.safetensors"
MANIFEST_FILE = "engine.json"


@dataclass(frozen=True, slots=True)
class WeightsFolder:
    """One set of weights on disk."""

    path: Path
    manifest: Mapping[str, Any]
    """Content of ``engine.json``; ``architecture`` and ``release`` are always there."""
    version: str
    """``<folder name>-<release>+<first 8 hex digits of the SHA-256 of the weights>``: other numbers, other version."""

    @property
    def name(self) -> str:
        """Name of the profile: that of the folder."""
        return self.path.name

    def load_into(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy the weights into a network's ``state_dict()``, exactly or not at all.

        Raises:
            WeightsError: the file is damaged or does not fit.
        """
        path = self.path / WEIGHTS_FILE
        try:
            found = load_file(path)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path} cannot be read as safetensors ({error}); the file is damaged: get the folder anew") from error
        remedy = f"The weights are of another size or version of the network than {MANIFEST_FILE} says; use files that belong together"
        check_fit(found, tensors, source=str(path), remedy=remedy)
        copy_tensors(found, tensors)


def open_weights_folder(path: Path) -> WeightsFolder:
    """Read the manifest and take the weights' digest.

    Raises:
        WeightsError: a file is missing or the manifest is not what it should be.
    """
    path = path.resolve()
    missing = [name for name in (MANIFEST_FILE, WEIGHTS_FILE) if not (path / name).is_file()]
    if missing:
        raise WeightsError(f"no {' and no '.join(missing)} in {path}; a weights folder holds {MANIFEST_FILE} and {WEIGHTS_FILE}")
    manifest = _read_manifest(path / MANIFEST_FILE)
    with (path / WEIGHTS_FILE).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WeightsFolder(path, manifest, f"{path.name}-{manifest['release']}+{digest[:8]}")


def save_weights_folder(folder: Path, tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> WeightsFolder:
    """Write weights in half precision, the manifest last: a folder with a manifest is complete. Other files in the folder stay.

    The same input gives the same bytes, and each file is replaced at once, so a reader never meets half of one.

    Raises:
        WeightsError: a number is too large for half precision.
    """
    halves = {name: _halve(name, tensor) for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS_FILE, save(halves, metadata={"format": "pt"}))
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in manifest.items())
    _replace(folder / MANIFEST_FILE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    return open_weights_folder(folder)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON ({error}); get the weights folder anew") from error
    absent = [key for key in ("architecture", "release") if not isinstance(manifest, dict) or not isinstance(manifest.get(key), str)]
    if absent:
        raise WeightsError(f"{path} lacks the text {' and '.join(map(repr, absent))}; expected an object that names both")
    return dict(manifest)


def _halve(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise WeightsError(f"{name} holds values that half precision cannot (largest {tensor.abs().max():.3g}); the training diverged")
    return half


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
