"""Values of a label list's answer, and their picture."""

from __future__ import annotations

import numpy as np
import pytest

from models.proposal_figure import PANEL_SIDE, draw_stages
from models.proposals import Proposal, Proposals, ProposalStages
from tests.factories import make_image, make_mask, make_proposal, make_segment


def make_proposals(size_hw: tuple[int, int] = (48, 64), *proposals: Proposal) -> Proposals:
    labels = np.zeros(size_hw, np.int32)
    labels[: size_hw[0] // 2] = 2
    small = np.zeros((6, 8), np.int32)
    small[:3] = 2
    stages = ProposalStages(
        cost_labels=small,
        cost_confidence=np.full((6, 8), 0.7, np.float32),
        points=np.array([[size_hw[1] / 2, size_hw[0] / 2]]),
        sam_masks=np.stack([small > 0, small == 0]),
        joined_masks=(small > 0)[np.newaxis],
        seconds={"cost_map": 0.01},
    )
    return Proposals(("cat", "dog"), labels, proposals, stages)


def test_a_proposal_keeps_its_mask_small_and_gives_it_back():
    one = make_proposal(make_segment("cat", 0.8))
    assert np.array_equal(one.mask(), make_mask())
    segment = one.segment()
    assert (segment.text, segment.score, segment.area, segment.box) == ("cat", 0.8, one.area, one.box)


def test_the_mask_of_a_label_is_where_the_map_names_it():
    found = make_proposals()
    assert not found.semantic_mask(0).any()
    assert found.semantic_mask(1).sum() == 24 * 64


@pytest.mark.parametrize("size_hw", [(48, 64), (1, 4), (400, 30), (900, 1200)], ids=str)
def test_the_picture_shows_six_steps_side_by_side(size_hw):
    proposal = [make_proposal()] if size_hw == (48, 64) else []
    picture = draw_stages(make_image(size_hw), make_proposals(size_hw, *proposal))
    height, width = picture.shape[:2]
    assert picture.dtype == np.uint8
    assert width > 6 * min(PANEL_SIDE, 150)
    assert height >= round(size_hw[0] * PANEL_SIDE / max(size_hw))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5


def test_an_answer_that_found_nothing_has_a_picture_too():
    none = np.zeros((0, 6, 8), np.bool_)
    stages = ProposalStages(np.zeros((6, 8), np.int32), np.zeros((6, 8), np.float32), np.zeros((0, 2)), none, none, {})
    nothing = Proposals((), np.zeros((48, 64), np.int32), (), stages)
    assert draw_stages(make_image(), nothing).shape == draw_stages(make_image(), make_proposals()).shape


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="uint8 array"):
        draw_stages(np.zeros((4, 4)), make_proposals())
