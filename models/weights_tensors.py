"""The numbers in a weights folder: into a network, and from a network into a new folder.

This file knows folders and tensors, not networks (see :mod:`models.loading`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from models.strict_weights import check_fit, copy_tensors
from models.weights_folder import MANIFEST_FILE, WEIGHTS_FILE, WeightsError, WeightsFolder, open_weights_folder

WINDOW_BYTES = 256 * 2**20
"""Of a large file, so much is in memory at once while it is read."""


def load_weights(folder: WeightsFolder, tensors: Mapping[str, Tensor]) -> None:
    """Copy the weights into a network's ``state_dict()``, exactly or not at all; a version's tensors over those of its base.

    Raises:
        WeightsError: a file is damaged or does not fit.
    """
    path = folder.path / WEIGHTS_FILE
    remedy = f"The weights are of another size or version of the network than {MANIFEST_FILE} says; use files that belong together"
    try:
        check_fit(load_file(path), tensors, source=str(path), remedy=remedy)
        for names in windows(tensors, lambda name: tensors[name].nbytes):
            # The file is mapped anew for each window, so that no more than one window of it counts as memory beside the network.
            with safe_open(path, framework="pt") as file:
                copy_tensors({name: file.get_tensor(name) for name in names}, {name: tensors[name] for name in names})
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}); the file is damaged: get the folder anew") from error
    if folder.delta is not None:
        _load_delta(folder.delta, tensors)


def _load_delta(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        changed = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}); the version is damaged: roll back to another one") from error
    expected = {name: tensors[name] for name in changed if name in tensors}
    check_fit(changed, expected, source=str(path), remedy="The version is of another network than its base; train it again")
    copy_tensors(changed, expected)


def delta_names(path: Path) -> frozenset[str]:
    """Names of the tensors in a version's file."""
    with safe_open(path, framework="pt") as file:
        return frozenset(file.keys())


def save_delta(path: Path, tensors: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> list[str]:
    """Write those tensors that differ from the base in half precision, replacing the file at once.

    Args:
        path: of the file.
        tensors: of the network, by name.
        base: the same names, as read from a weights folder.

    Returns:
        the names that differ.

    Raises:
        WeightsError: a number is too large for half precision.
    """
    halves = {name: _halve(name, tensor) for name, tensor in tensors.items()}
    changed = {name: half for name, half in halves.items() if not torch.equal(half, _halve(name, base[name]))}
    with replacing(path) as file:
        file.write(save(changed, metadata={"format": "pt"}))
    return list(changed)


def windows(names: Iterable[str], size_of: Callable[[str], int]) -> Iterator[list[str]]:
    """Names in their order, cut into lists of at most ``WINDOW_BYTES`` together, or of one that is larger."""
    window: list[str] = []
    held = 0
    for name in names:
        if window and held + size_of(name) > WINDOW_BYTES:
            yield window
            window, held = [], 0
        window.append(name)
        held += size_of(name)
    if window:
        yield window


def save_weights_folder(folder: Path, tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> WeightsFolder:
    """Write weights in half precision, the manifest last: a folder with a manifest is complete. Other files in the folder stay.

    The same input gives the same bytes, and each file is replaced at once, so a reader never meets half of one.

    Raises:
        WeightsError: a number is too large for half precision.
    """
    halves = {name: _halve(name, tensor) for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS_FILE) as file:
        file.write(save(halves, metadata={"format": "pt"}))
    return write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> WeightsFolder:
    """Complete a folder that holds weights already."""
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in manifest.items())
    with replacing(folder / MANIFEST_FILE) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())
    return open_weights_folder(folder)


def _halve(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise WeightsError(f"{name} holds values that half precision cannot (largest {tensor.abs().max():.3g}); the training diverged")
    return half


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` at once when the block ends; nothing of it is left when the block raises."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
