"""The numbers in a weights folder: into a network, and from a network into a new folder.

This file knows folders and tensors, not networks (see :mod:`models.loading`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from models.strict_weights import check_fit, copy_tensors
from models.weights_folder import MANIFEST_FILE, WEIGHTS_FILE, WeightsError, WeightsFolder, open_weights_folder


def load_weights(folder: WeightsFolder, tensors: Mapping[str, Tensor]) -> None:
    """Copy the weights into a network's ``state_dict()``, exactly or not at all.

    Raises:
        WeightsError: the file is damaged or does not fit.
    """
    path = folder.path / WEIGHTS_FILE
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}); the file is damaged: get the folder anew") from error
    remedy = f"The weights are of another size or version of the network than {MANIFEST_FILE} says; use files that belong together"
    check_fit(found, tensors, source=str(path), remedy=remedy)
    copy_tensors(found, tensors)


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
