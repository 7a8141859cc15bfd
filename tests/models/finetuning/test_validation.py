"""Between epochs: the best one counts, patience ends, and schedules are those of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from models import FineTuneConfig, FineTuneError, published_finetuning
from models.finetuning.stage import PublishedSchedule, schedule_of
from models.finetuning.validation import BestEpoch, canvas_iou
from models.ssp_sam.model import SspSam
from tests.models.ssp_sam.networks import perturbed


def watch_of(figures: list[float], **changes: int) -> tuple[BestEpoch, SspSam]:
    measured: Iterator[float] = iter(figures)
    return BestEpoch(replace(FineTuneConfig(steps=len(figures), validate_every=1), **changes), lambda model: next(measured)), perturbed()


def run(watch: BestEpoch, model: SspSam, most: int) -> int:
    """Each step adds one to a trained bias; returns how many were made."""
    model.requires_grad_(False)
    model.box_head.layers[0].bias.requires_grad_(True)
    for done in range(1, most + 1):
        with torch.no_grad():
            model.box_head.layers[0].bias += 1
        watch.after_step(model, done, {"loss": 1.0 / done})
        if watch.is_done:
            return done
    return most


def test_the_best_epochs_weights_come_back() -> None:
    watch, model = watch_of([0.1, 0.5, 0.3])
    before = model.box_head.layers[0].bias.clone()
    run(watch, model, 3)
    watch.restore_best(model)
    assert torch.allclose(model.box_head.layers[0].bias, before + 2)
    assert set(watch.best) == {"box_head.layers.0.bias"}
    assert [(point.epoch, point.validation) for point in watch.curve] == [(1, 0.1), (2, 0.5), (3, 0.3)]


def test_training_ends_when_nothing_better_came_for_as_long_as_patience_lasts() -> None:
    watch, model = watch_of([0.1, 0.5, 0.4, 0.3, 0.9], patience=2)
    assert run(watch, model, 5) == 4


def test_where_too_little_is_measured_to_choose_the_last_epoch_counts() -> None:
    watch, model = watch_of([0.9, 0.5, 0.4, 0.3], patience=1)
    watch = BestEpoch(replace(FineTuneConfig(steps=4, validate_every=1), patience=1), watch._measure, can_choose=False)
    before = model.box_head.layers[0].bias.clone()
    assert run(watch, model, 4) == 4
    watch.restore_best(model)
    assert torch.allclose(model.box_head.layers[0].bias, before + 4)


def test_what_it_remembers_survives_a_checkpoint() -> None:
    watch, model = watch_of([0.1, 0.5, 0.4, 0.9], patience=2)
    run(watch, model, 3)
    again, _ = watch_of([0.3], patience=2)
    again.load_state_dict(watch.state_dict())
    assert not again.is_done
    again.after_step(model, 4, {"loss": 0.1})
    assert again.is_done
    assert again.curve[1:3] == watch.curve[1:3]


@pytest.mark.parametrize(
    ("found", "is_weak", "expected"),
    [
        pytest.param((0, 0, 4, 4), False, 0.5, id="half of a mask"),
        pytest.param((0, 0, 4, 8), True, 1.0, id="fills a box"),
        pytest.param(None, False, 0.0, id="nothing found"),
    ],
)
def test_masks_are_compared_with_masks_and_boxes_with_boxes(
    found: tuple[int, int, int, int] | None, is_weak: bool, expected: float
) -> None:
    truth, mask = torch.zeros(10, 10, dtype=torch.bool), torch.zeros(10, 10, dtype=torch.bool)
    truth[:8, :4] = True
    if found is not None:
        mask[found[1] : found[3], found[0] : found[2]] = True
        if is_weak:
            mask[2:6, 1:3] = False
    assert canvas_iou(mask, truth, is_weak=is_weak) == expected


def test_nothing_found_where_nothing_is_is_right() -> None:
    empty = torch.zeros(4, 4, dtype=torch.bool)
    assert canvas_iou(empty, empty, is_weak=False) == 1.0


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 1.0e-6), (1, 2.08e-5), (4, 8.02e-5), (5, 9.905e-5), (20, 8.55e-5), (40, 5.05e-5), (79, 1.04e-6)]
)
def test_the_published_schedule_is_that_of_the_paper(epoch: int, rate: float) -> None:
    config = schedule_of(replace(published_finetuning(), steps=800), bfloat16=False)
    assert isinstance(config, PublishedSchedule)
    for step in (10 * epoch, 10 * epoch + 9):
        assert config.learning_rate * config.learning_rate_factor(step) == pytest.approx(rate, rel=5e-3)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"replay_size": -1}, {"learning_rate": 0.0}, {"patience": 0}, {"base_share": 1.0}, {"base_share": -0.1}],
)
def test_a_configuration_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(FineTuneError, match=next(iter(wrong))):
        FineTuneConfig(**wrong)  # type: ignore[arg-type]
