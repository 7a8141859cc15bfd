"""Joins the stages: from a request to a version."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from models.data.dataset_folder import DatasetError
from models.devices import Compute, choose_device
from models.embedding_cache import EmbeddingCache
from models.engine import Engine
from models.engine_options import DEFAULT_OPTIONS
from models.finetuning.draft import base_of, draft_folder, write_delta, write_version_manifest
from models.finetuning.label_lists import label_list_stage
from models.finetuning.leaning import lean_towards
from models.finetuning.low_rank import merge_adapters
from models.finetuning.prepare import Prepared, is_bfloat16, prepare
from models.finetuning.request import FineTuned, FineTuneError, FineTuneProgress, FineTuning, ReportProgress
from models.finetuning.scores import score_engine
from models.finetuning.threshold import choose_threshold
from models.loading import BUILDERS
from models.sam_mi.weights import joined_tensors, read_networks
from models.ssp_sam.engine import Thresholds
from models.training.hardware import Hardware, OneProcess, SharedSteps
from models.training.loop import run_stage
from models.version_folder import Scores, VersionManifest, read_version
from models.weights_folder import WeightsError, WeightsFolder
from models.weights_tensors import replacing

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
        run = prepare(request, hardware)
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


def _train(run: Prepared, report: ReportProgress) -> dict[str, Any]:
    """All steps; afterwards the model has the best epoch's weights, without adapters."""
    config, watch = run.config, run.watch
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


def _measure_serving(run: Prepared) -> None:
    """Once per run, before training needs the memory."""
    place = run.steps_dir / SERVING_FILE
    if run.hardware.rank == 0 and not place.exists():
        scores = score_engine(_engine(run.start, run.hardware), run.examples.measuring)
        with replacing(place) as file:
            file.write(json.dumps(asdict(scores)).encode())


def _train_label_lists(run: Prepared) -> None:
    """SAM-MI's network, where there is one and its lists are asked for, behind what the encoders have become."""
    config, device = run.config, run.hardware.device
    own = [one for one in run.examples.training if not one.is_in_words]
    if run.network is None or config.label_steps == 0 or not own:
        return
    bfloat16 = is_bfloat16(config, device)
    stage = label_list_stage(config, [*own, *run.replay], run.model.eval(), run.tokenizer, Compute(device), bfloat16=bfloat16)
    if stage is not None:
        alone = OneProcess(device)
        run_stage(stage, run.network.to(device), run.steps_dir, seed=config.seed, checkpoint_seconds=CHECKPOINT_SECONDS, hardware=alone)


def _thresholds(run: Prepared) -> Thresholds:
    """Chosen again where the network tells presence and the images that measure did not teach."""
    if run.model.presence_head is None or run.examples.measured_on == "training images":
        return run.thresholds
    alone = OneProcess(run.hardware.device)
    own, known = (run.measure(examples, alone).judged(run.model) for examples in (run.examples.measuring, run.measuring_replay))
    return Thresholds(presence=choose_threshold(own, known, run.thresholds.presence))


def _conclude(run: Prepared, wall_seconds: Callable[[], float]) -> None:
    """Write the version, and measure what was written."""
    request = run.request
    base_model, base_network, _, _ = read_networks(run.base)
    lean_towards(base_model, run.model, run.config.base_share)
    _train_label_lists(run)
    write_delta(request.out, joined_tensors(run.model, run.network), joined_tensors(base_model, base_network))
    entries = {"thresholds": asdict(_thresholds(run))}
    draft = draft_folder(run.base, request.out, request.version, entries)
    serving = Scores.from_json(json.loads((run.steps_dir / SERVING_FILE).read_bytes()))
    manifest = VersionManifest(
        version=request.version,
        base=base_of(request.base, run.base),
        parent=None if request.parent is None else run.start.version,
        data_digest=run.digest,
        configuration=asdict(run.config),
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
