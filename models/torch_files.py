"""Read the tensors of other people's files without running anything that the file brings along."""

from __future__ import annotations

import argparse
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.strict_weights import WeightsError


class FileContent(NamedTuple):
    """What a checkpoint holds."""

    tensors: dict[str, Tensor]
    """Its state dict, mapped into memory."""
    beside: tuple[str, ...]
    """Names of what lies beside it, such as ``optimizer``."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict of a PyTorch file; see :func:`read_checkpoint`."""
    return read_checkpoint(path).tensors


def read_checkpoint(path: Path) -> FileContent:
    """The state dict of a PyTorch file, and the names of what lies beside it.

    The state dict may be the whole content, lie under the key ``model`` (SSP-SAM), or be that of a TorchScript archive (OpenAI's CLIP).
    The file is mapped into memory, not read: an optimizer's state beside the weights costs nothing.

    Raises:
        WeightsError: the file does not exist, is damaged, or holds something else.
    """
    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}; give the path of an existing .pth, .pt or .bin file")
    try:
        content = _torchscript_state(path) if _is_torchscript(path) else _unpickle(path)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path} cannot be read as a PyTorch checkpoint ({_first_line(error)}); "
            "it may be cut short or hold objects other than tensors: get it anew, or save its state dict alone"
        ) from error
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{path} holds {type(content).__name__}; expected a state dict, or a dict with one under the key 'model'")
    return FileContent(dict(state), tuple(map(str, content)) if state is not content else ())


def damaged_record(path: Path) -> str | None:
    """Name of the first record of a PyTorch file whose checksum is wrong; reads the whole file. The oldest files of PyTorch have none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip()
    except zipfile.BadZipFile:
        return None


def _unpickle(path: Path) -> Any:
    # The published files carry the arguments of their training run. Only PyTorch's newer form, a zip archive, can be mapped.
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _torchscript_state(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        # TorchScript is deprecated, but OpenAI's files are what they are.
        warnings.simplefilter("ignore", FutureWarning)
        archive = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return dict(archive.state_dict())


def _first_line(error: Exception) -> str:
    """What an error says, in one line; some say nothing (``EOFError`` for an empty file)."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
