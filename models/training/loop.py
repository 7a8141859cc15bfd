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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from models.training.hardware import ALONE, Hardware
from models.training.optimizer import Optimizer, OptimizerName, layer_matrices, make_optimizer


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
    optimizer: OptimizerName = "adamw"
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


class TrainedGroup(NamedTuple):
    """Parameters that learn alike."""

    parameters: Iterable[nn.Parameter]
    rate_factor: float
    """On the stage's learning rate."""
    first_step: int = 0
    """Until then they stay as they are."""


class Stage(Protocol[Network]):
    """What one stage of a recipe has to say."""

    name: str
    config: StageConfig

    def parameter_groups(self, model: Network) -> Iterable[tuple[Iterable[nn.Parameter], float] | TrainedGroup]:
        """Trained parameters with the factor on their learning rate; everything else is frozen."""

    def set_mode(self, model: Network) -> None:
        """Put the model's parts into training or evaluation mode."""

    def loss(self, model: Network, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch drawn with ``rng``, and the figures to log."""


class Watch(Protocol):
    """Looks at the network between steps and can end a stage early; what it remembers lies in the checkpoint."""

    @property
    def is_done(self) -> bool:
        """Whether the stage is to end."""

    def after_step(self, model: nn.Module, done: int, figures: Mapping[str, float]) -> dict[str, float]:
        """Take in a step (``done`` of them are behind) and its figures; returns figures of its own, if it has new ones."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse of :meth:`state_dict`."""


Report = Callable[[int, dict[str, float]], None]


def step_generator(seed: int, stage: str, step: int) -> np.random.Generator:
    """The generator that draws everything of one step."""
    return np.random.default_rng([seed, zlib.crc32(stage.encode()), step])


def run_stage(
    stage: Stage[Any],
    model: nn.Module,
    run_dir: Path,
    *,
    seed: int,
    report: Report | None = None,
    checkpoint_seconds: float = 120.0,
    log_every: int = 20,
    hardware: Hardware = ALONE,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train ``model`` through one stage, from the last checkpoint if there is one.

    Args:
        stage: what to train.
        model: changed in place; on the device of ``hardware``.
        run_dir: ``<stage>.pt`` (latest checkpoint) and ``<stage>.jsonl`` (one line of figures per ``log_every`` steps) live here.
        seed: of the whole run.
        report: called with the step and its figures whenever a line is logged.
        checkpoint_seconds: at most this much work is lost to a kill.
        log_every: steps between log lines.
        hardware: what to compute on, and which of the processes that share each step this is.
        watch: may end the stage early.

    Returns:
        The stage's record: configuration, steps, seconds of training and the last figures.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    run = StageRun(stage, model, run_dir / f"{stage.name}.pt", seed, hardware, watch)
    run.resume()
    stage.set_mode(model)
    last_save, running = time.monotonic(), _RunningMean()
    while not run.is_done:
        running.add(run.step())
        if run.done % log_every == 0 or run.is_done:
            run.figures = running.take()
            if run.hardware.rank == 0:
                with (run_dir / f"{stage.name}.jsonl").open("a") as log:
                    log.write(json.dumps({"step": run.done, "seconds": round(run.seconds, 1), **run.figures}) + "\n")
                if report is not None:
                    report(run.done, run.figures)
        if time.monotonic() - last_save > checkpoint_seconds or run.is_done:
            run.save()
            last_save = time.monotonic()
    return {"stage": stage.name, "seconds": round(run.seconds), "figures": run.figures, **asdict(stage.config)}


class StageRun:
    """One stage on its way: what a checkpoint holds, and how a step is made. :func:`run_stage` says what the arguments are.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, stage: Stage[Any], model: nn.Module, path: Path, seed: int, hardware: Hardware, watch: Watch | None) -> None:
        self.stage, self.model, self.path, self.seed, self.hardware, self.watch = stage, model, path, seed, hardware, watch
        self.optimizer = _make_optimizer(stage, model)
        self.loss_of = hardware.wrap(_StepLoss(stage, model))
        self.done, self.seconds = 0, 0.0
        self.figures: dict[str, float] = {}

    @property
    def is_done(self) -> bool:
        return self.done >= self.stage.config.steps or (self.watch is not None and self.watch.is_done)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location=self.hardware.device, weights_only=True)
        if state["seed"] != self.seed or state["config"] != asdict(self.stage.config):
            raise ValueError(
                f"{self.path} was made with another seed or configuration of stage {self.stage.name!r}; use another run folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["torch_rng"].cpu())
        self.done, self.seconds, self.figures = state["step"], state["seconds"], state["figures"]
        if self.watch is not None:
            self.watch.load_state_dict(state["watch"])

    def save(self) -> None:
        """Replace the checkpoint at once."""
        if self.hardware.rank != 0:
            return
        state = {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "torch_rng": torch.get_rng_state(),
            "step": self.done, "seconds": self.seconds, "seed": self.seed, "config": asdict(self.stage.config), "figures": self.figures,
        }  # fmt: skip
        if self.watch is not None:
            state["watch"] = self.watch.state_dict()
        _save_atomically(state, self.path)

    def step(self) -> dict[str, float]:
        """Learn from one batch; returns its figures."""
        started = time.monotonic()
        figures = self._train_step()
        self.done += 1
        if self.watch is not None:
            figures |= self.watch.after_step(self.model, self.done, figures)
            self.stage.set_mode(self.model)  # which the watch may have changed
        self.seconds += time.monotonic() - started
        return figures

    def _train_step(self) -> dict[str, float]:
        stage, step = self.stage, self.done
        rng = step_generator(self.seed, stage.name, step)
        torch.manual_seed(int(rng.integers(2**31)))
        factor = stage.config.learning_rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        with torch.autocast(self.hardware.device.type, torch.bfloat16, enabled=stage.config.bfloat16):
            loss, figures = self.loss_of(rng)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"stage {stage.name!r}, step {step}: the loss is {loss.item()}; lower the learning rate")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        for group in self.optimizer.param_groups:
            if step < group.get("first_step", 0):  # checkpoints from before there was such a thing lack it
                for parameter in group["params"]:
                    parameter.grad = None
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(trained, stage.config.clip_norm)
        self.optimizer.step()
        return self.hardware.mean({"loss": loss.item(), **figures})


def _make_optimizer(stage: Stage[Any], model: nn.Module) -> Optimizer:
    """The optimiser over the stage's parameters; all others are frozen. Each of its groups holds ``base_lr`` and ``first_step``."""
    config = stage.config
    groups = []
    model.requires_grad_(False)
    for parameters, factor, first_step in (TrainedGroup(*group) for group in stage.parameter_groups(model)):
        trained = list(parameters)
        for parameter in trained:
            parameter.requires_grad_(True)
        shared = {"base_lr": config.learning_rate * factor, "first_step": first_step}
        groups.append({**shared, "params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay})
        groups.append({**shared, "params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0})
    return make_optimizer(config.optimizer, [group for group in groups if group["params"]], layer_matrices(model))


class _StepLoss(nn.Module):
    """A stage's loss as the call of a module, which is what distributed training wraps."""

    def __init__(self, stage: Stage[Any], model: nn.Module) -> None:
        super().__init__()
        self.stage, self.model = stage, model

    def forward(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        return self.stage.loss(self.model, rng)


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
