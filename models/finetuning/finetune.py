"""Joins the stages: from a request to a version."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.data.dataset_folder import DatasetError, DatasetFolder
from models.devices import Compute, choose_device, choose_dtype
from models.embedding_cache import EmbeddingCache
from models.engine import Engine
from models.engine_options import DEFAULT_OPTIONS
from models.finetuning.draft import base_of, draft_folder, write_delta, write_version_manifest
from models.finetuning.encoders import SplitEncoders
from models.finetuning.examples import Example, Examples, data_digest, read_examples, sample_scene_examples, split_examples
from models.finetuning.lessons import Meanings, Sampler
from models.finetuning.low_rank import merge_adapters
from models.finetuning.request import FineTuneConfig, FineTuned, FineTuneError, FineTuneProgress, FineTuning, ReportProgress
from models.finetuning.run_folder import CHECKPOINTS, claim_run_folder
from models.finetuning.scores import score_engine
from models.finetuning.stage import FineTuneStage
from models.finetuning.validation import BestEpoch, Validation
from models.loading import BUILDERS
from models.sam_mi.model import SamMi
from models.sam_mi.weights import joined_tensors, read_networks
from models.ssp_sam.engine import Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.tokenizer import PhraseTokenizer
from models.training.hardware import Hardware, SharedSteps
from models.training.loop import run_stage
from models.version_folder import Scores, VersionManifest, read_version
from models.weights_folder import WeightsError, WeightsFolder, find_weights
from models.weights_tensors import replacing

logger = logging.getLogger(__name__)

MEANING_BYTES = 128 * 2**20
"""Memory for masks on the canvas."""
SERVING_FILE = "serving.json"
"""In the run's folder: scores of what serves."""
CHECKPOINT_SECONDS = 15.0
"""At most so much work is lost to a kill."""


def fine_tune(request: FineTuning, report: ReportProgress = lambda progress: None) -> FineTuned:
    """Learn from a data set and write a version; a run that was killed goes on from its checkpoint.

    Under ``torchrun`` every process calls this with the same request; they share each step, and the first one writes.

    Args:
        request: what to do.
        report: called now and then with how far it is.

    Returns:
        what came of it; the version is complete, whether it is better or not.

    Raises:
        FineTuneError: there is nothing to learn from, the base or the parent cannot be used, or the training diverged.
        OSError: the run's folder or the version cannot be written.
    """
    started = time.monotonic()
    try:
        hardware = SharedSteps(choose_device(request.config.device))
        run = _prepare(request, hardware)
        before = time.monotonic()
        record = _train(run, report)
        outside = before - started - time.monotonic()
        if hardware.rank == 0:
            _conclude(run, lambda: outside + time.monotonic() + record["seconds"])
        hardware.sum(torch.zeros(1))  # nobody leaves before the version is whole
        manifest = read_version(request.out)
    except (WeightsError, DatasetError, FloatingPointError) as error:
        raise FineTuneError(str(error)) from error
    scores = {"serving": manifest.serving, "candidate": manifest.candidate}
    return FineTuned(request.out, scores, manifest.is_better, tuple(manifest.curve), manifest.wall_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What is known once everything was read."""

    request: FineTuning
    hardware: Hardware
    base: WeightsFolder
    start: WeightsFolder
    """Of what serves: the parent, or the base."""
    examples: Examples
    digest: str
    steps_dir: Path
    model: SspSam
    network: SamMi | None
    thresholds: Thresholds
    stage: FineTuneStage
    watch: BestEpoch


def _prepare(request: FineTuning, hardware: Hardware) -> _Run:
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
    own, replayed = _seen(examples.training, config), _seen([one for one in replay if one.digest in usable], config)
    sampler = Sampler(own, replayed, config.batch_size, config.replay_size, config.expressions_per_image, meanings, tokenizer)
    stage = FineTuneStage(config, model, sampler, encoders, hardware, bfloat16=_is_bfloat16(config, hardware.device))
    measure = Validation(examples.measuring, encoders, meanings, tokenizer, thresholds, compute, hardware)
    return _Run(
        request=request, hardware=hardware, base=base, start=start, examples=examples, digest=digest, steps_dir=steps_dir,
        model=model, network=network, thresholds=thresholds, stage=stage, watch=BestEpoch(config, measure),
    )  # fmt: skip


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


def _seen(examples: Sequence[Example], config: FineTuneConfig) -> list[Example]:
    """With their mirror images, where those are asked for and something about them stays true."""
    mirrored = [one.mirrored() for one in examples] if config.mirror else []
    return [*examples, *(one for one in mirrored if one.sample.expressions)]


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


def _is_bfloat16(config: FineTuneConfig, device: torch.device) -> bool:
    if config.precision == "auto" and device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest PyTorch that is allowed
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return choose_dtype(config.precision, device) == torch.bfloat16


def _train(run: _Run, report: ReportProgress) -> dict[str, Any]:
    """All steps; afterwards the model has the best epoch's weights, without adapters."""
    config, watch = run.request.config, run.watch
    _measure_serving(run)

    def tell(step: int, figures: Mapping[str, float]) -> None:
        epochs = math.ceil(config.steps / config.validate_every)
        report(FineTuneProgress(len(watch.curve), epochs, step, config.steps, figures))

    record = run_stage(
        run.stage, run.model, run.steps_dir, seed=config.seed, report=tell, checkpoint_seconds=CHECKPOINT_SECONDS,
        log_every=min(10, config.validate_every), hardware=run.hardware, watch=watch,
    )  # fmt: skip
    watch.restore_best(run.model)
    merge_adapters(run.model)
    return record


def _measure_serving(run: _Run) -> None:
    """Once per run, before training needs the memory."""
    place = run.steps_dir / SERVING_FILE
    if run.hardware.rank == 0 and not place.exists():
        scores = score_engine(_engine(run.start, run.hardware), run.examples.measuring)
        with replacing(place) as file:
            file.write(json.dumps(asdict(scores)).encode())


def _conclude(run: _Run, wall_seconds: Callable[[], float]) -> None:
    """Write the version, and measure what was written."""
    request = run.request
    base_model, base_network, _, _ = read_networks(run.base)
    write_delta(request.out, joined_tensors(run.model, run.network), joined_tensors(base_model, base_network))
    entries = {"thresholds": asdict(run.thresholds)}
    draft = draft_folder(run.base, request.out, request.version, entries)
    serving = Scores.from_json(json.loads((run.steps_dir / SERVING_FILE).read_bytes()))
    manifest = VersionManifest(
        version=request.version,
        base=base_of(request.base, run.base),
        parent=None if request.parent is None else run.start.version,
        data_digest=run.digest,
        configuration=asdict(request.config),
        measured_on=run.examples.measured_on,
        serving=serving,
        candidate=score_engine(_engine(draft, run.hardware), run.examples.measuring),
        curve=run.watch.curve,
        wall_seconds=round(wall_seconds(), 1),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        engine=entries,
    )
    write_version_manifest(request.out, manifest)


def _engine(folder: WeightsFolder, hardware: Hardware) -> Engine:
    return BUILDERS[folder.manifest["architecture"]](folder, hardware.device, EmbeddingCache(0), DEFAULT_OPTIONS)
