"""From the name of a profile to an engine.

A profile is a weights folder (:mod:`models.weights_folder`). Its manifest names an ``architecture``; the table below says who builds it.
Another model needs one folder of its own, ``models/<model>/``, with a function like :func:`models.ssp_sam.weights.build_engine`, and one
line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from models.embedding_cache import EmbeddingCache
from models.engine import Engine
from models.ssp_sam import weights as ssp_sam
from models.weights_folder import MANIFEST_FILE, WeightsError, WeightsFolder, find_weights

DEFAULT_CACHE_BYTES = 256 * 2**20

BUILDERS: dict[str, Callable[[WeightsFolder, torch.device, EmbeddingCache], Engine]] = {
    ssp_sam.ARCHITECTURE: ssp_sam.build_engine,
}
"""Architecture of a manifest -> who makes an engine of the folder."""


def load_engine(
    profile_or_path: str | Path = "tiny",
    *,
    device: str = "auto",
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    cache_dir: Path | None = None,
) -> Engine:
    """An engine, ready to answer.

    Args:
        profile_or_path: name of a profile that ships, or path of a weights folder.
        device: ``auto`` for the fastest there is, or a name of PyTorch's: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        cache_bytes: budget for image features in memory.
        cache_dir: folder where image features are also written; ``None`` for memory only.

    Raises:
        WeightsError: no such profile, or its files are missing, damaged or do not fit together.
        ValueError: there is no such device here.
    """
    folder = find_weights(profile_or_path)
    architecture = folder.manifest["architecture"]
    if architecture not in BUILDERS:
        raise WeightsError(
            f"{folder.path / MANIFEST_FILE} names architecture {architecture!r}; this version knows {', '.join(sorted(BUILDERS))}. "
            "The weights may need a newer Wordmask"
        )
    return BUILDERS[architecture](folder, choose_device(device), EmbeddingCache(cache_bytes, cache_dir))


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is a CUDA device if there is one, else Apple's, else the processor.

    Raises:
        ValueError: PyTorch knows no such device, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use 'auto' or 'cpu'") from error
    return device
