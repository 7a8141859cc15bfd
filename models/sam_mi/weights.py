"""SAM-MI and its weights folder: behind any SSP-SAM without training, or with a trained network in the same file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.sam_mi.config import SamMiConfig, named_config
from models.sam_mi.engine import PREFIX, SamMiEngine
from models.sam_mi.model import SamMi
from models.sam_mi.presets import Preset, preset_for
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.ssp_sam.weights import read_manifest
from models.uninitialised import Uninitialised
from models.weights_folder import MANIFEST_FILE, WeightsError, WeightsFolder
from models.weights_tensors import load_weights, save_weights_folder

ARCHITECTURE = "ssp-sam+sam-mi"
"""Of a folder that holds both networks."""
MANIFEST_KEY = "sam_mi"


def build_engine(
    folder: WeightsFolder,
    device: torch.device,
    cache: EmbeddingCache,
    options: EngineOptions = DEFAULT_OPTIONS,
    *,
    preset: Preset | None = None,
    trained: bool = True,
) -> SamMiEngine:
    """An engine from a weights folder of SSP-SAM alone (label lists are answered without training) or of both networks.

    Args:
        folder: of either architecture.
        device: where to compute.
        cache: of image features.
        options: how to compute.
        preset: thresholds in place of those that belong to the weights.
        trained: false to answer label lists without training even where there is a trained network, for comparison.

    Raises:
        WeightsError: manifest or weights are not those of networks that this code can build.
    """
    model, network, tokenizer, thresholds = read_networks(folder)
    return SamMiEngine(
        model,
        tokenizer,
        preset or preset_for(model.config.name),
        network if trained else None,
        name=folder.name,
        version=folder.version,
        device=device,
        thresholds=thresholds,
        cache=cache,
        options=options,
        prefers_lists=folder.delta is None,
    )


def read_networks(folder: WeightsFolder) -> tuple[SspSam, SamMi | None, PhraseTokenizer, Thresholds]:
    """The networks of a weights folder, on the processor; SAM-MI's only where the folder holds both.

    Raises:
        WeightsError: manifest or weights are not those of networks that this code can build.
    """
    config, tokenizer, thresholds = read_manifest(folder)
    with Uninitialised():
        model = SspSam(config)
    network = SamMi(_config(folder)) if folder.manifest["architecture"] == ARCHITECTURE else None
    load_weights(folder, joined_tensors(model, network))
    return model, network, tokenizer, thresholds


def write_joined_folder(base: WeightsFolder, model: SspSam, network: SamMi, folder: Path, *, release: str) -> WeightsFolder:
    """Keep both networks for :func:`models.load_engine`, in half precision.

    Args:
        base: the folder that ``model`` came from; its manifest goes on.
        model: SSP-SAM.
        network: trained behind it, of a named configuration.
        folder: its name becomes the name of the profile.
        release: of the weights.

    Raises:
        WeightsError: the folder could not be loaded again, or a number is too large for half precision.
    """
    if named_config(network.config.name) != network.config:
        raise WeightsError(
            f"the network's sizes differ from those of configuration {network.config.name!r}, which {MANIFEST_FILE} would name; "
            "give it a configuration of its own in models/sam_mi/config.py"
        )
    manifest = {**base.manifest, "architecture": ARCHITECTURE, "release": release, MANIFEST_KEY: {"config": network.config.name}}
    return save_weights_folder(folder, joined_tensors(model, network), manifest)


def joined_tensors(model: SspSam, network: SamMi | None) -> dict[str, Tensor]:
    """The tensors of both networks by the names of a joined file."""
    tensors: dict[str, Tensor] = dict(model.state_dict())
    if network is not None:
        tensors |= {PREFIX + name: tensor for name, tensor in network.state_dict().items()}
    return tensors


def _config(folder: WeightsFolder) -> SamMiConfig:
    described: Mapping[str, Any] | Any = folder.manifest.get(MANIFEST_KEY)
    try:
        return named_config(described["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{folder.path / MANIFEST_FILE} does not describe a SAM-MI ({type(error).__name__}: {error}); get the weights folder anew"
        ) from error
