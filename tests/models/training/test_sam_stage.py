"""What is asked of SAM while it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.ssp_sam.sam_masks import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT
from models.training.sam_stage import BOX_JITTER, draw_prompts

LEFT, TOP, RIGHT, BOTTOM = 20, 30, 60, 110


def boxes() -> torch.Tensor:
    """The boxes among many prompts for one object, float ``[n, 4]``."""
    ids = np.zeros((1, 128, 128), np.uint8)
    ids[0, TOP:BOTTOM, LEFT:RIGHT] = 1
    prompts = draw_prompts(ids, np.random.default_rng(0), 400)
    is_box = prompts.labels[:, 0] == BOX_TOP_LEFT
    assert torch.all(prompts.labels[is_box, 1] == BOX_BOTTOM_RIGHT)
    return prompts.coordinates[is_box, :2].flatten(1)


def test_sides_of_boxes_are_off_by_a_share_of_their_length() -> None:
    drawn = boxes()
    assert len(drawn) > 100
    off = (drawn - torch.tensor([LEFT, TOP, RIGHT, BOTTOM])) / torch.tensor([RIGHT - LEFT, BOTTOM - TOP] * 2)
    assert off.std().item() == pytest.approx(BOX_JITTER, rel=0.15)
    assert off.mean().item() == pytest.approx(0, abs=BOX_JITTER / 4)
    assert off.abs().max() <= 0.2
