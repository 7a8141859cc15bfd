"""Masks that one label mostly fills take it as a whole; others leave everything as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.preprocess import sam_letterbox
from models.sam_mi.sam_proposals import SamMasks
from models.sam_mi.vote import vote
from models.semantic_metrics import LabelMap

SIDE, IMAGE = 16, 64
LETTERBOX = sam_letterbox((IMAGE, IMAGE), IMAGE)
SQUARE = (slice(4, 12), slice(4, 12))
"""Cells of the mask that most tests use; pixels are four times as many along each side."""


def masks(*places: tuple[slice, slice]) -> SamMasks:
    """One mask per rectangle of cells."""
    logits = torch.full((len(places), SIDE, SIDE), -9.0)
    for one, place in zip(logits, places, strict=True):
        one[place] = 9.0
    return SamMasks(logits, torch.ones(len(places)), torch.ones(len(places)), torch.arange(len(places)))


def seen(share: float) -> LabelMap:
    """Label 3 in that share of the square's rows, from its top, nothing elsewhere."""
    found = np.zeros((IMAGE, IMAGE), np.int32)
    found[16 : 16 + round(share * 32), 16:48] = 3
    return found


@pytest.mark.parametrize(
    ("share", "agreement", "label_below"),
    [
        pytest.param(0.75, 0.6, 3, id="most agree: all of it"),
        pytest.param(0.25, 0.6, 0, id="most see nothing: nothing"),
        pytest.param(0.5, 0.6, 0, id="divided: as it was"),
        pytest.param(0.75, 0.9, 0, id="too few for a strict rule: as it was"),
    ],
)
def test_a_mask_is_filled_as_far_as_its_pixels_agree(share, agreement, label_below):
    before = seen(share)
    after = vote(masks(SQUARE), before, before, LETTERBOX, agreement)
    assert after[44, 32] == label_below  # a row of the square that the words left out
    assert after[17, 32] == (0 if share == 0.25 else 3)
    outside = np.ones_like(before, np.bool_)
    outside[12:52, 12:52] = False
    assert not after[outside].any()
    assert before[44, 32] == 0, "what was seen is not written over"


def test_without_a_limit_the_majority_decides_and_small_masks_lie_on_top():
    words = np.full((IMAGE, IMAGE), 3, np.int32)
    words[28:36, 28:36] = 7
    found = vote(masks((slice(7, 9), slice(7, 9)), SQUARE), words, np.zeros_like(words), LETTERBOX)
    assert found[32, 32] == 7
    assert found[20, 20] == 3
    assert found[0, 0] == 0


def test_masks_without_a_pixel_and_no_masks_change_nothing():
    before = seen(0.5)
    empty = masks((slice(0), slice(0)))
    assert np.array_equal(vote(empty, before, before, LETTERBOX), before)
    assert np.array_equal(vote(masks(), before, before, LETTERBOX), before)
