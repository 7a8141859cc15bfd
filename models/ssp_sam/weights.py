"""SSP-SAM and its weights folder: what ``engine.json`` says about a network, and the engine that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from models.embedding_cache import EmbeddingCache
from models.ssp_sam.config import SspSamConfig, named_config
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import FIRST_MERGE, PhraseTokenizer
from models.weights_folder import MANIFEST_FILE, WeightsError, WeightsFolder
from models.weights_tensors import load_weights, save_weights_folder

ARCHITECTURE = "ssp-sam"


def build_engine(folder: WeightsFolder, device: torch.device, cache: EmbeddingCache) -> SspSamEngine:
    """An engine from a weights folder.

    Raises:
        WeightsError: manifest or weights are not those of an SSP-SAM that this code can build.
    """
    config, tokenizer, thresholds = _read(folder)
    model = SspSam(config)
    load_weights(folder, model.state_dict())
    return SspSamEngine(
        model, tokenizer, name=folder.name, version=folder.version, device=device, thresholds=thresholds, cache=cache
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
    manifest = {
        "architecture": ARCHITECTURE,
        "config": model.config.name,
        "release": release,
        "vocabulary": None if tokenizer.vocabulary is None else list(tokenizer.vocabulary),
        "thresholds": asdict(thresholds),
    }
    if _configuration(manifest, PhraseTokenizer(1, tokenizer.vocabulary)) != model.config:
        raise WeightsError(
            f"the network's sizes differ from those of configuration {model.config.name!r} with a vocabulary of {tokenizer.vocab_size}, "
            f"which {MANIFEST_FILE} would name; give it a configuration of its own in models/ssp_sam/config.py"
        )
    return save_weights_folder(folder, model.state_dict(), manifest)


def random_engine(
    config: SspSamConfig, *, seed: int = 0, device: str = "cpu", cache_bytes: int = 256 * 2**20, cache_dir: Path | None = None
) -> SspSamEngine:
    """An engine that knows nothing: random weights, for measuring time and for tests. Its masks mean nothing.

    Args:
        config: of any size; with less than CLIP's whole vocabulary it knows the most frequent pieces of words.
        seed: of the weights. The caller's random numbers stay undisturbed.
        device: where to compute.
        cache_bytes: budget for image features in memory.
        cache_dir: where image features are also written.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SspSam(config)
    tokenizer = PhraseTokenizer(config.clip.context_length)
    if config.clip.vocab_size != tokenizer.vocab_size:
        known = range(FIRST_MERGE, FIRST_MERGE + config.clip.vocab_size - 4)
        tokenizer = PhraseTokenizer(config.clip.context_length, known)
    return SspSamEngine(
        model,
        tokenizer,
        name=f"random-{config.name}",
        version=f"random-{config.name}-seed{seed}",
        device=torch.device(device),
        thresholds=Thresholds(presence=0.0),
        cache=EmbeddingCache(cache_bytes, cache_dir),
    )


def _read(folder: WeightsFolder) -> tuple[SspSamConfig, PhraseTokenizer, Thresholds]:
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
