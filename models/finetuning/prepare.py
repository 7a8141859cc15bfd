"""Reads everything that a request names, and runs the frozen part of the encoders on every image."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.data.dataset_folder import DatasetFolder
from models.devices import Compute, choose_dtype
from models.embedding_cache import EmbeddingCache
from models.finetuning.collages import make_collages
from models.finetuning.encoders import SplitEncoders
from models.finetuning.examples import Example, Examples, data_digest, hold_out, read_examples, sample_scene_examples, split_examples
from models.finetuning.lessons import Meanings, Sampler
from models.finetuning.request import FineTuneConfig, FineTuneError, FineTuning
from models.finetuning.run_folder import CHECKPOINTS, claim_run_folder
from models.finetuning.stage import FineTuneStage
from models.finetuning.validation import FEWEST_TO_CHOOSE, BestEpoch, Validation
from models.sam_mi.model import SamMi
from models.sam_mi.weights import read_networks
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.hardware import Hardware
from models.version_folder import read_version
from models.weights_folder import WeightsFolder, find_weights

logger = logging.getLogger(__name__)

MEANING_BYTES = 128 * 2**20
"""Memory for masks on the canvas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request with everything read that it names."""

    request: FineTuning
    config: FineTuneConfig
    """As asked for, with the steps that the images are worth."""
    hardware: Hardware
    base: WeightsFolder
    start: WeightsFolder
    """Of what serves: the parent, or the base."""
    examples: Examples
    digest: str
    steps_dir: Path
    model: SspSam
    network: SamMi | None
    tokenizer: PhraseTokenizer
    thresholds: Thresholds
    """Of what serves."""
    replay: Sequence[Example]
    """Of the base's own domain, to learn from."""
    measuring_replay: Sequence[Example]
    """Those that do not teach."""
    stage: FineTuneStage
    watch: BestEpoch
    measure: Callable[[Sequence[Example], Hardware], Validation]


def prepare(request: FineTuning, hardware: Hardware) -> Prepared:
    """Read everything, and run the trunk of the encoders on every image."""
    config = request.config
    base, start = _weights(request)
    read = read_examples(DatasetFolder(request.dataset))
    replay = _replay(request)
    digest = data_digest(read)
    steps_dir = request.run_dir / CHECKPOINTS
    if hardware.rank == 0:
        claim_run_folder(request.run_dir, _identity(request, base, digest, data_digest(replay)))
    hardware.sum(torch.zeros(1))

    torch.manual_seed(config.seed)
    model, network, tokenizer, thresholds = read_networks(start)
    model = model.to(hardware.device).eval()
    compute = Compute(hardware.device)
    cache = EmbeddingCache(config.embedding_bytes, request.run_dir / "embeddings")
    encoders = SplitEncoders(model, config.low_rank_blocks if config.low_rank else 0, compute, cache)
    meanings = Meanings(model.config, MEANING_BYTES)
    usable = _embed([*read, *replay], encoders, meanings, hardware)
    examples = split_examples([one for one in read if one.digest in usable])
    if not any(one.target_ids for example in examples.training for one in example.sample.expressions):
        raise FineTuneError(_nothing_to_learn(request, read, examples))
    _tell_unknown_words(examples, tokenizer)
    config = config.paced(len(examples.training))
    own = [view for one in examples.training for view in one.views(config.views)]
    own += make_collages(examples.training, config.collages, config.seed)
    measuring_replay, teaching_replay = hold_out([one for one in replay if one.digest in usable])
    replayed = [view for one in teaching_replay for view in one.views(config.views)]
    sampler = Sampler(own, replayed, config.batch_size, config.replay_size, config.expressions_per_image, meanings, tokenizer)
    stage = FineTuneStage(config, model, sampler, encoders, hardware, bfloat16=is_bfloat16(config, hardware.device))

    def measure(measured: Sequence[Example], hardware: Hardware) -> Validation:
        return Validation(measured, encoders, meanings, tokenizer, thresholds, compute, hardware)

    return Prepared(
        request=request,
        config=config,
        hardware=hardware,
        base=base,
        start=start,
        examples=examples,
        digest=digest,
        steps_dir=steps_dir,
        model=model,
        network=network,
        tokenizer=tokenizer,
        thresholds=thresholds,
        replay=teaching_replay,
        measuring_replay=measuring_replay,
        stage=stage,
        watch=BestEpoch(config, measure(examples.measuring, hardware), can_choose=_can_choose(examples.measuring)),
        measure=measure,
    )


def _weights(request: FineTuning) -> tuple[WeightsFolder, WeightsFolder]:
    """Base, and what to begin from."""
    base = find_weights(request.base)
    if request.parent is None:
        return base, base
    start = find_weights(request.parent)
    if start.digest != base.digest:
        raise FineTuneError(
            f"the version in {request.parent} changes {read_version(request.parent).base.version}, not the base {base.version}; "
            "begin from the base, or from a version of it"
        )
    return base, start


def _replay(request: FineTuning) -> list[Example]:
    if request.config.replay_size == 0:
        return []
    if request.replay is None:
        return sample_scene_examples()
    return list(split_examples(read_examples(DatasetFolder(request.replay))).training)


def _identity(request: FineTuning, base: WeightsFolder, data: str, replay: str) -> dict[str, Any]:
    parent = None if request.parent is None else asdict(read_version(request.parent))["version"]
    return {"base": base.version, "parent": parent, "data": data, "replay": replay, "configuration": asdict(request.config)}


def _embed(examples: Sequence[Example], encoders: SplitEncoders, meanings: Meanings, hardware: Hardware) -> set[str]:
    """Run the trunk on every image, and draw every mask; returns the digests of those where both is possible."""
    is_usable = torch.zeros(len(examples))
    for number in range(hardware.rank, len(examples), hardware.processes):
        example = examples[number]
        try:
            encoders.trunk(example.key, example.image)
            for expression in example.sample.expressions:
                meanings.of(example, expression)
        except (OSError, ValueError) as error:
            logger.warning("%s is left out: %s", example.path, error)
        else:
            is_usable[number] = 1
    return {example.digest for example, usable in zip(examples, hardware.sum(is_usable).tolist(), strict=True) if usable}


def _can_choose(measuring: Sequence[Example]) -> bool:
    return sum(bool(one.target_ids) for example in measuring for one in example.sample.expressions) >= FEWEST_TO_CHOOSE


def _nothing_to_learn(request: FineTuning, read: Sequence[Example], examples: Examples) -> str:
    return (
        f"{request.dataset} holds nothing to learn from: {len(read)} images with expressions, {len(examples.training)} of them usable for "
        "training, no expression that refers to something; correct more tasks"
    )


def _tell_unknown_words(examples: Examples, tokenizer: PhraseTokenizer) -> None:
    texts = {one.text for example in examples.training for one in example.sample.expressions}
    unknown = sorted({word for text in texts for word in tokenizer.unknown_words(text)})
    if unknown:
        logger.warning("the base has no words for %s: to it they are one and the same", ", ".join(unknown[:20]))


def is_bfloat16(config: FineTuneConfig, device: torch.device) -> bool:
    if config.precision == "auto" and device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest PyTorch that is allowed
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return choose_dtype(config.precision, device) == torch.bfloat16
