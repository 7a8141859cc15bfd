"""Losses of a lesson: right answers cost less, boxes teach what boxes say, and parts of a batch add up to the whole."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from models.finetuning.lessons import Lesson
from models.finetuning.objectives import ALONE, Objective, Shares, pointing_objective, published_objective
from models.ssp_sam.model import Prediction

SIDE, GRID = 16, 4
BOTH = pytest.mark.parametrize(
    "objective", [pytest.param(pointing_objective, id="pointing"), pytest.param(published_objective, id="published")]
)


def lesson(weak: bool = False) -> Lesson:
    """A square at the top left, one at the bottom right, and nothing."""
    masks = torch.zeros(3, SIDE, SIDE)
    masks[0, :8, :8] = masks[1, 8:, 8:] = 1
    boxes = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5], [0, 0, 0, 0]])
    is_weak = torch.tensor([weak, False, False])
    return Lesson(torch.arange(3), torch.zeros(3, 4, dtype=torch.int64), masks, boxes, masks.any(2).any(1), is_weak, torch.zeros(3, 16))


def prediction(masks: Tensor, certainty: float = 6.0) -> Prediction:
    """What a network that sees these masks would say."""
    logits = certainty * (2 * masks - 1)
    patches = torch.nn.functional.adaptive_avg_pool2d(logits, GRID).flatten(1)
    return Prediction(
        box=lesson().boxes.clamp(0.01, 0.99),
        low_res_logits=logits,
        predicted_iou=torch.ones(len(masks)),
        relevance=patches,
        presence=certainty * (2 * masks.any(2).any(1).float() - 1),
    )


def some(prediction: Prediction, rows: slice) -> Prediction:
    return Prediction(*(part[rows] if isinstance(part, Tensor) else part for part in prediction))


def part(whole: Lesson, rows: slice) -> Lesson:
    return Lesson(*(column[rows] for column in whole))


@BOTH
def test_the_right_answer_costs_less_than_the_mirrored_one(objective: Objective) -> None:
    right, _ = objective(prediction(lesson().masks), lesson(), GRID, ALONE)
    wrong, _ = objective(prediction(lesson().masks.flip(2)), lesson(), GRID, ALONE)
    assert right < wrong / 3


@BOTH
def test_a_box_is_satisfied_by_any_mask_that_fills_it(objective: Objective) -> None:
    disc, outside = lesson().masks.clone(), lesson().masks.clone()
    disc[0, 0, 1:] = disc[0, 1:8, 7] = 0  # two corners are missing, but every row and column of the box is touched
    disc[0, 0, 7] = 1
    outside[0, :8, 8:12] = 1
    weak = lesson(weak=True)
    filled, short, spilled = (objective(prediction(masks), weak, GRID, ALONE)[0] for masks in (weak.masks, disc, outside))
    assert short - filled < 0.2 * (spilled - filled)


@BOTH
@pytest.mark.parametrize("weak", [pytest.param(False, id="masks"), pytest.param(True, id="a box among them")])
def test_the_mean_over_processes_of_their_parts_is_the_whole(objective: Objective, weak: bool) -> None:
    torch.manual_seed(0)
    whole, answer = lesson(weak), prediction(torch.rand(3, SIDE, SIDE), certainty=1.0)
    expected, _ = objective(answer, whole, GRID, ALONE)
    populations = {
        "every": torch.ones(3, dtype=torch.bool), "drawn": whole.has_target & ~whole.is_weak, "weak": whole.has_target & whole.is_weak,
        "target": whole.has_target, "judged": ~whole.is_weak, "named": torch.ones(3, dtype=torch.bool),
    }  # fmt: skip
    assert set(populations) == {field.name for field in fields(Shares)}
    losses = []
    for rows in (slice(0, 1), slice(1, 3)):
        shares = Shares(**{name: 2 * int(one[rows].sum()) / max(1, int(one.sum())) for name, one in populations.items()})
        losses.append(objective(some(answer, rows), part(whole, rows), GRID, shares)[0])
    assert torch.stack(losses).mean().item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_network_without_presence_cannot_be_told_to_point() -> None:
    blind = prediction(lesson().masks)._replace(relevance=None)
    with pytest.raises(ValueError, match="use the objective 'published'"):
        pointing_objective(blind, lesson(), GRID, ALONE)
