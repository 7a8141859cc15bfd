"""SSP-SAM and its weights folder: what ``engine.json`` says about a network, and the engine that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from models.embedding_cache import EmbeddingCache
from models.engine_options import DEFAULT_OPTIONS, EngineOptions
from models.ssp_sam.config import SspSamConfig, named_config
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import FIRST_MERGE, PhraseTokenizer
from models.uninitialised import Uninitialised
from models.weights_folder import MANIFEST_FILE, WeightsError, WeightsFolder
from models.weights_tensors import load_weights, save_weights_folder

ARCHITECTURE = "ssp-sam"


def build_engine(
    folder: WeightsFolder, device: torch.device, cache: EmbeddingCache, options: EngineOptions = DEFAULT_OPTIONS
) -> SspSamEngine:
    """An engine from a weights folder.

    Raises:
        WeightsError: manifest or weights are not those of an SSP-SAM that this code can build.
    """
    config, tokenizer, thresholds = read_manifest(folder)
    with Uninitialised():
        model = SspSam(config)
    load_weights(folder, model.state_dict())
    return SspSamEngine(
        model, tokenizer, name=folder.name, version=folder.version, device=device, thresholds=thresholds, cache=cache, options=options
    )  # fmt: skip


def write_weights_folder(model: SspSam, tokenizer: PhraseTokenizer, folder: Path, *, release: str, thresholds: Thresholds) -> WeightsFolder:
    """Keep a network for :func:`models.load_engine`, in half precision.

    Args:
        model: of a named configuration; only the size of its vocabulary may differ.
        tokenizer: the one it was trained with.
        folder: its name becomes the name of the profile.
        release: of the weights, for example ``0.1.0``; part of the version.
        thresholds: chosen for these weights.

    Raises:
        WeightsError: the folder could not be loaded again, or a number is too large for half precision.
    """
    return save_weights_folder(folder, model.state_dict(), manifest_of(model.config, tokenizer, release=release, thresholds=thresholds))


def manifest_of(config: SspSamConfig, tokenizer: PhraseTokenizer, *, release: str, thresholds: Thresholds) -> dict[str, Any]:
    """What ``engine.json`` says of a network; see :func:`write_weights_folder`.

    Raises:
        WeightsError: a network built from it would have other sizes.
    """
    manifest = {
        "architecture": ARCHITECTURE,
        "config": config.name,
        "release": release,
        "vocabulary": None if tokenizer.vocabulary is None else list(tokenizer.vocabulary),
        "thresholds": asdict(thresholds),
    }
    if _configuration(manifest, PhraseTokenizer(1, tokenizer.vocabulary)) != config:
        raise WeightsError(
            f"the network's sizes differ from those of configuration {config.name!r} with a vocabulary of {tokenizer.vocab_size}, "
            f"which {MANIFEST_FILE} would name; give it a configuration of its own in models/ssp_sam/config.py"
        )
    return manifest


def tokenizer_for(config: SspSamConfig) -> PhraseTokenizer:
    """CLIP's own tokenizer; for a configuration with a smaller vocabulary, one that knows the most frequent pieces of words."""
    tokenizer = PhraseTokenizer(config.clip.context_length)
    if config.clip.vocab_size == tokenizer.vocab_size:
        return tokenizer
    return PhraseTokenizer(config.clip.context_length, range(FIRST_MERGE, FIRST_MERGE + config.clip.vocab_size - 4))


def random_engine(
    config: SspSamConfig,
    *,
    seed: int = 0,
    device: str = "cpu",
    cache_bytes: int = 256 * 2**20,
    cache_dir: Path | None = None,
    options: EngineOptions = DEFAULT_OPTIONS,
) -> SspSamEngine:
    """An engine that knows nothing: random weights, for measuring time and for tests. Its masks mean nothing.

    Args:
        config: of any size; with less than CLIP's whole vocabulary it knows the most frequent pieces of words.
        seed: of the weights. The caller's random numbers stay undisturbed.
        device: where to compute.
        cache_bytes: budget for image features in memory.
        cache_dir: where image features are also written.
        options: how to compute.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SspSam(config)
    return SspSamEngine(
        model,
        tokenizer_for(config),
        name=f"random-{config.name}",
        version=f"random-{config.name}-seed{seed}",
        device=torch.device(device),
        thresholds=Thresholds(presence=0.0),
        cache=EmbeddingCache(cache_bytes, cache_dir),
        options=options,
    )


def read_manifest(folder: WeightsFolder) -> tuple[SspSamConfig, PhraseTokenizer, Thresholds]:
    """Configuration, tokenizer and thresholds that a weights folder names.

    Raises:
        WeightsError: the manifest is not that of an SSP-SAM that this code can build.
    """
    manifest, path = folder.manifest, folder.path / MANIFEST_FILE
    try:
        vocabulary, thresholds = manifest["vocabulary"], Thresholds(**manifest["thresholds"])
        if vocabulary is not None and not (isinstance(vocabulary, list) and all(type(piece) is int for piece in vocabulary)):
            raise TypeError("vocabulary must be null or a list of whole numbers")
        config = _configuration(manifest, PhraseTokenizer(1, vocabulary))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not describe an SSP-SAM ({type(error).__name__}: {error}); get the weights folder anew") from error
    return config, PhraseTokenizer(config.clip.context_length, vocabulary), thresholds


def _configuration(manifest: Mapping[str, Any], tokenizer: PhraseTokenizer) -> SspSamConfig:
    config = named_config(manifest["config"])
    return replace(config, clip=replace(config.clip, vocab_size=tokenizer.vocab_size))
