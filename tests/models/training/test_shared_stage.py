"""Stages whose steps several processes share."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.training.hardware import ALONE, OneProcess
from models.training.loop import StageConfig, run_stage
from models.training.shared_stage import SharedStage, shared


class Fit:
    """Learns the mean of what it draws."""

    name = "fit"

    def __init__(self) -> None:
        self.config = StageConfig(steps=5, batch_size=4, learning_rate=0.1, warmup_steps=1, bfloat16=False)
        self.drawn: list[list[float]] = []

    def parameter_groups(self, model: nn.Module):
        return [(list(model.parameters()), 1.0)]

    def set_mode(self, model: nn.Module) -> None:
        model.train()

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        numbers = torch.from_numpy(rng.normal(size=(self.config.batch_size, 1))).float()
        self.drawn.append(numbers.flatten().tolist())
        return (model(torch.ones_like(numbers)) - numbers).square().mean(), {"mean": numbers.mean().item()}


@dataclass(frozen=True)
class OneOfTwo(OneProcess):
    """One of two processes, as far as drawing goes."""

    device: torch.device = ALONE.device
    processes: int = 2


def test_each_process_draws_its_own_part_of_a_batch() -> None:
    stages = [Fit(), Fit()]
    model = nn.Linear(1, 1)
    for rank, stage in enumerate(stages):
        part = shared(stage, OneOfTwo(rank=rank))
        assert (part.name, part.config.batch_size) == ("fit", 4)
        for step in range(2):
            part.loss(model, np.random.default_rng(step))
    assert {len(numbers) for stage in stages for numbers in stage.drawn} == {2}
    assert len({tuple(numbers) for stage in stages for numbers in stage.drawn}) == 4


def test_one_process_trains_the_stage_itself() -> None:
    stage = Fit()
    assert shared(stage, ALONE) is stage


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    stage = Fit()
    stage.config = StageConfig(steps=1, batch_size=3, learning_rate=0.1)
    with pytest.raises(ValueError, match="stage 'fit' learns from 3 images a step, which 2 processes cannot share evenly"):
        SharedStage(stage, OneOfTwo())


PROGRAM = """
import sys
from pathlib import Path
import torch
from torch import nn
from models.training.hardware import SharedSteps
from models.training.loop import run_stage
from models.training.shared_stage import shared
from tests.models.training.test_shared_stage import Fit

hardware, stage, folder = SharedSteps(torch.device("cpu")), Fit(), Path(sys.argv[1])
torch.manual_seed(0)
model = nn.Linear(1, 1)
run_stage(shared(stage, hardware), model, folder, seed=1, hardware=hardware)
torch.save({"model": model.state_dict(), "drawn": stage.drawn}, folder / f"rank{hardware.rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_learn_one_network_from_the_batches_of_both(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, program, tmp_path], capture_output=True, text=True, timeout=180, env=_environment())
    assert done.returncode == 0, done.stderr[-2000:]
    one, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    assert one["drawn"] != other["drawn"]
    torch.testing.assert_close(one["model"], other["model"], rtol=0, atol=0)

    class Both(Fit):
        """Draws what the two drew together."""

        def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
            step = len(self.drawn)
            numbers = torch.tensor([*one["drawn"][step], *other["drawn"][step]]).unsqueeze(1)
            self.drawn.append(numbers.flatten().tolist())
            return (model(torch.ones_like(numbers)) - numbers).square().mean(), {}

    torch.manual_seed(0)
    alone = nn.Linear(1, 1)
    run_stage(Both(), alone, tmp_path / "alone", seed=1)
    torch.testing.assert_close(one["model"], alone.state_dict())


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
