"""The loop: schedules by step, a killed run goes on as if nothing had happened."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.training.loop import StageConfig, run_stage


class LineStage:
    """Fits a line through noisy points; can be told to die."""

    name = "line"

    def __init__(self, steps: int = 12, dies_at: int | None = None) -> None:
        self.config = StageConfig(steps=steps, batch_size=4, learning_rate=0.05, warmup_steps=3, bfloat16=False)
        self.dies_at = dies_at
        self.seen = 0

    def parameter_groups(self, model: nn.Module):
        return [([model.weight], 1.0)]

    def set_mode(self, model: nn.Module) -> None:
        model.train()

    def loss(self, model: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if self.seen == self.dies_at:
            raise KeyboardInterrupt
        self.seen += 1
        x = torch.from_numpy(rng.normal(size=(self.config.batch_size, 3))).float()
        noise = torch.randn(self.config.batch_size, 1)
        loss = (model(x) - x.sum(dim=1, keepdim=True) - 0.1 * noise).square().mean()
        return loss, {"noise": noise.mean().item()}


def make_line() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 1)


def train(folder: Path, stage: LineStage, model: nn.Linear | None = None, seed: int = 5) -> nn.Linear:
    model = model or make_line()
    run_stage(stage, model, folder, seed=seed, checkpoint_seconds=0, log_every=1)
    return model


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    undisturbed = train(tmp_path / "a", LineStage())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", LineStage(dies_at=5))
    resumed = train(tmp_path / "b", LineStage())
    assert torch.equal(resumed.weight, undisturbed.weight)
    assert not torch.equal(resumed.weight, make_line().weight)


def test_a_finished_stage_is_read_and_not_run_again(tmp_path):
    first = train(tmp_path, LineStage())
    again = LineStage(dies_at=0)
    assert torch.equal(train(tmp_path, again).weight, first.weight)
    assert again.seen == 0


def test_parameters_that_no_group_names_stay_as_they_are(tmp_path):
    assert torch.equal(train(tmp_path, LineStage()).bias, make_line().bias)


def test_every_logged_step_is_one_line_of_json(tmp_path):
    train(tmp_path, LineStage(steps=80))
    lines = [json.loads(line) for line in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 81))
    losses = [line["loss"] for line in lines]
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2


def test_a_checkpoint_of_another_configuration_or_seed_is_refused(tmp_path):
    train(tmp_path, LineStage())
    with pytest.raises(ValueError, match="another seed or configuration"):
        train(tmp_path, LineStage(steps=20))
    with pytest.raises(ValueError, match="another seed or configuration"):
        train(tmp_path, LineStage(), seed=6)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(tmp_path):
    model = make_line()
    model.weight.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0"):
        train(tmp_path, LineStage(), model)


def test_the_learning_rate_warms_up_and_falls_to_its_floor():
    config = StageConfig(steps=100, batch_size=1, learning_rate=1.0, warmup_steps=10, final_learning_rate_ratio=0.1)
    factors = [config.learning_rate_factor(step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(factors[10:]))


@pytest.mark.parametrize("field", [pytest.param("steps", id="steps"), pytest.param("batch_size", id="batch size")])
def test_a_stage_of_nothing_is_refused(field):
    with pytest.raises(ValueError, match=field):
        StageConfig(**{"steps": 1, "batch_size": 1, "learning_rate": 0.1, field: 0})
