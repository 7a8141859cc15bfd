"""The training loop: one stage at a time, scheduled by step, resumable at every checkpoint.

A stage says what is trained and what one step's loss is; everything about optimisers, schedules, checkpoints and logs is here. All
randomness of a step follows from (seed, stage, step), so a run that was killed and resumed sees the batches it would have seen.
"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig:
    """How long and how fast one stage learns."""

    steps: int
    batch_size: int
    """Images a step."""
    learning_rate: float
    warmup_steps: int = 50
    final_learning_rate_ratio: float = 0.02
    """The cosine ends at this share of the learning rate."""
    weight_decay: float = 0.03
    """Applies to matrices and convolutions only."""
    clip_norm: float = 1.0
    bfloat16: bool = True
    """Autocast; about twice as fast on processors with bf16 arithmetic, slower on others."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"StageConfig.{name} must be at least 1, found {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"StageConfig.learning_rate must be positive, found {self.learning_rate}")

    def learning_rate_factor(self, step: int) -> float:
        """Share of the learning rate at ``step``: linear warm-up, then a cosine."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        floor = self.final_learning_rate_ratio
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


Network = TypeVar("Network", bound=nn.Module, contravariant=True)


class Stage(Protocol[Network]):
    """What one stage of a recipe has to say."""

    name: str
    config: StageConfig

    def parameter_groups(self, model: Network) -> Iterable[tuple[Iterable[nn.Parameter], float]]:
        """Trained parameters with the factor on their learning rate; everything else is frozen."""

    def set_mode(self, model: Network) -> None:
        """Put the model's parts into training or evaluation mode."""

    def loss(self, model: Network, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch drawn with ``rng``, and the figures to log."""


Report = Callable[[int, dict[str, float]], None]


def step_generator(seed: int, stage: str, step: int) -> np.random.Generator:
    """The generator that draws everything of one step."""
    return np.random.default_rng([seed, zlib.crc32(stage.encode()), step])


def make_optimizer(stage: Stage[Any], model: nn.Module) -> torch.optim.AdamW:
    """AdamW over the stage's parameters; freezes all others."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    groups = []
    for parameters, factor in stage.parameter_groups(model):
        trained = list(parameters)
        for parameter in trained:
            parameter.requires_grad_(True)
        rate = stage.config.learning_rate * factor
        groups.append({"params": [p for p in trained if p.ndim >= 2], "base_lr": rate, "weight_decay": stage.config.weight_decay})
        groups.append({"params": [p for p in trained if p.ndim < 2], "base_lr": rate, "weight_decay": 0.0})
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=stage.config.learning_rate, betas=(0.9, 0.98), fused=True)


def run_stage(
    stage: Stage[Any],
    model: nn.Module,
    run_dir: Path,
    *,
    seed: int,
    report: Report | None = None,
    checkpoint_seconds: float = 120.0,
    log_every: int = 20,
) -> dict[str, Any]:
    """Train ``model`` through one stage, from the last checkpoint if there is one.

    Args:
        stage: what to train.
        model: changed in place.
        run_dir: ``<stage>.pt`` (latest checkpoint) and ``<stage>.jsonl`` (one line of figures per ``log_every`` steps) live here.
        seed: of the whole run.
        report: called with the step and its figures whenever a line is logged.
        checkpoint_seconds: at most this much work is lost to a kill.
        log_every: steps between log lines.

    Returns:
        The stage's record: configuration, steps, seconds of training and the last figures.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / f"{stage.name}.pt"
    optimizer = make_optimizer(stage, model)
    first_step, seconds, figures = 0, 0.0, {}
    if path.exists():
        state = torch.load(path, weights_only=True)
        if state["seed"] != seed or state["config"] != asdict(stage.config):
            raise ValueError(f"{path} was made with another seed or configuration of stage {stage.name!r}; use another run folder")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["torch_rng"])
        first_step, seconds, figures = state["step"], state["seconds"], state["figures"]

    def save(step: int) -> None:
        state = {
            "model": model.state_dict(), "optimizer": optimizer.state_dict(), "torch_rng": torch.get_rng_state(), "step": step,
            "seconds": seconds, "seed": seed, "config": asdict(stage.config), "figures": figures,
        }  # fmt: skip
        _save_atomically(state, path)

    stage.set_mode(model)
    last_save, running = time.monotonic(), _RunningMean()
    for step in range(first_step, stage.config.steps):
        started = time.monotonic()
        running.add(_train_step(stage, model, optimizer, step, seed))
        seconds += time.monotonic() - started
        done = step + 1
        if done % log_every == 0 or done == stage.config.steps:
            figures = running.take()
            with (run_dir / f"{stage.name}.jsonl").open("a") as log:
                log.write(json.dumps({"step": done, "seconds": round(seconds, 1), **figures}) + "\n")
            if report is not None:
                report(done, figures)
        if time.monotonic() - last_save > checkpoint_seconds or done == stage.config.steps:
            save(done)
            last_save = time.monotonic()
    return {"stage": stage.name, "seconds": round(seconds), "figures": figures, **asdict(stage.config)}


def _train_step(stage: Stage[Any], model: nn.Module, optimizer: torch.optim.Optimizer, step: int, seed: int) -> dict[str, float]:
    rng = step_generator(seed, stage.name, step)
    torch.manual_seed(int(rng.integers(2**31)))
    factor = stage.config.learning_rate_factor(step)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    with torch.autocast("cpu", torch.bfloat16, enabled=stage.config.bfloat16):
        loss, figures = stage.loss(model, rng)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"stage {stage.name!r}, step {step}: the loss is {loss.item()}; lower the learning rate")
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    nn.utils.clip_grad_norm_(trained, stage.config.clip_norm)
    optimizer.step()
    return {"loss": loss.item(), **figures}


class _RunningMean:
    """Means of the figures since the last :meth:`take`; NaN marks a figure that a batch does not have."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        means = {name: round(float(np.nanmean(values)), 4) for name, values in self._values.items() if not np.isnan(values).all()}
        self._values.clear()
        return means


def _save_atomically(state: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)
