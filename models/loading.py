"""From the name of a profile to an engine.

A profile is a weights folder (:mod:`models.weights_folder`). Its manifest names an ``architecture``; the table below says who builds it.
Another model needs one folder of its own, ``models/<model>/``, with a function like :func:`models.ssp_sam.weights.build_engine`, and one
line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from models.devices import choose_device
from models.embedding_cache import EmbeddingCache
from models.engine import Engine
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.sam_mi import weights as sam_mi
from models.sam_mi import zero_shot
from models.sharing import share_unchanged
from models.ssp_sam import weights as ssp_sam
from models.ssp_sam.engine import SspSamEngine
from models.weights_folder import MANIFEST_FILE, WeightsError, WeightsFolder, find_weights
from models.weights_tensors import delta_names

DEFAULT_CACHE_BYTES = 256 * 2**20

BUILDERS: dict[str, Callable[[WeightsFolder, torch.device, EmbeddingCache, EngineOptions], Engine]] = {
    ssp_sam.ARCHITECTURE: sam_mi.build_engine,
    sam_mi.ARCHITECTURE: sam_mi.build_engine,
    zero_shot.ARCHITECTURE: zero_shot.build_engine,
}
"""Architecture of a manifest -> who makes an engine of the folder. SAM-MI's answers phrases as SSP-SAM's does, and label lists."""


def load_engine(
    profile_or_path: str | Path = "tiny",
    *,
    device: str = "auto",
    worker: int = 0,
    options: EngineOptions = DEFAULT_OPTIONS,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    cache_dir: Path | None = None,
    beside: Engine | None = None,
) -> Engine:
    """An engine, ready to answer.

    Args:
        profile_or_path: name of a profile that ships, or path of a weights folder.
        device: ``auto`` for the fastest there is, or a name of PyTorch's: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        worker: number of this process among those that serve, from 0; with several CUDA devices each gets its own, see
            :func:`models.devices.choose_device`.
        options: how to compute: precision, compilation, batches that concurrent calls share.
        cache_bytes: budget for image features in memory.
        cache_dir: folder where image features are also written; ``None`` for memory only.
        beside: an engine of the base that a version changes, loaded as this one is. What the version did not change is then in memory once,
            and both share one budget for image features.

    Raises:
        WeightsError: no such profile, or its files are missing, damaged or do not fit together.
        ValueError: there is no such device here, or it cannot compute as the options say.
    """
    folder = find_weights(profile_or_path)
    architecture = folder.manifest["architecture"]
    if architecture not in BUILDERS:
        raise WeightsError(
            f"{folder.path / MANIFEST_FILE} names architecture {architecture!r}; this version knows {', '.join(sorted(BUILDERS))}. "
            "The weights may need a newer Wordmask"
        )
    cache = beside.cache if isinstance(beside, SspSamEngine) else EmbeddingCache(cache_bytes, cache_dir)
    engine = BUILDERS[architecture](folder, choose_device(device, worker), cache, options)
    if isinstance(beside, SspSamEngine) and isinstance(engine, SspSamEngine) and folder.delta is not None:
        share_unchanged(engine.networks(), beside.networks(), delta_names(folder.delta))
    return engine
