"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.training.losses import balanced_bce, box_loss, dice_loss, mask_iou, object_bce, pointing_loss, to_corners

SURE = 50.0


def test_dice_of_a_perfect_mask_is_zero_and_of_a_disjoint_one_nearly_one():
    target = torch.zeros(1, 10, 10)
    target[:, :5] = 1
    assert dice_loss((target - 0.5) * SURE, target).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss((0.5 - target) * SURE, target).item() == pytest.approx(1 - 1 / 101, abs=1e-5)


def test_a_small_object_weighs_as_much_as_its_background():
    target = torch.zeros(1, 10, 10)
    target[0, 0, 0] = 1
    missed, spilled = torch.full((1, 10, 10), -2.0), torch.full((1, 10, 10), 2.0)
    assert balanced_bce(missed, target).item() == pytest.approx(balanced_bce(spilled, target).item(), rel=1e-5)


def test_a_wrong_rim_costs_a_small_object_more():
    def with_wrong_rim(side: int) -> float:
        target, logits = torch.zeros(1, 40, 40), torch.full((1, 40, 40), -SURE)
        target[0, :side, :side] = 1
        logits[0, : side + 1, : side + 1] = SURE
        return object_bce(logits, target).item()

    assert with_wrong_rim(10) == pytest.approx(SURE * 21 / 100, rel=1e-4)
    assert with_wrong_rim(20) == pytest.approx(SURE * 41 / 400, rel=1e-4)


def test_pointing_at_the_wrong_one_of_two_costs_more_than_at_both_and_at_the_right_one_nothing():
    target = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    right, both, wrong = (torch.tensor([logits]) for logits in ([0, SURE, 0, 0], [0, SURE, SURE, 0], [0, 0, 9.0, 0]))
    assert pointing_loss(right, target).item() == pytest.approx(0, abs=1e-5)
    assert pointing_loss(both, target).item() == pytest.approx(math.log(2), abs=1e-5)
    assert pointing_loss(wrong, target).item() == pytest.approx(9, abs=0.01)
    assert pointing_loss(right[:0], target[:0]).item() == 0


def test_box_loss_is_zero_for_equal_boxes_grows_with_distance_and_takes_none():
    box = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    near, far = (box + torch.tensor([[shift, 0, 0, 0]]) for shift in (0.05, 0.3))
    assert box_loss(box, box).item() == pytest.approx(0, abs=1e-5)
    assert 0 < box_loss(near, box) < box_loss(far, box)
    assert box_loss(box[:0], box[:0]).item() == 0


def test_corners_of_a_centred_box():
    assert to_corners(torch.tensor([0.5, 0.5, 0.2, 0.4])).tolist() == pytest.approx([0.4, 0.3, 0.6, 0.7])


def test_iou_of_two_empty_masks_is_one():
    empty, full = torch.full((1, 4, 4), -1.0), torch.ones(1, 4, 4)
    assert mask_iou(empty, torch.zeros(1, 4, 4)).tolist() == [1]
    assert mask_iou(empty, full).tolist() == [0]
    assert mask_iou(full, full).tolist() == [1]
