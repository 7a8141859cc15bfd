"""Masks smooth what the words say as far as they can be trusted."""

from __future__ import annotations

import pytest
import torch

from models.sam_mi.correction import correct, mask_means, reliability
from models.sam_mi.cost_map import Evidence, cost_map, dense_features, evidence
from models.sam_mi.presets import tiny_preset
from models.sam_mi.sam_proposals import SamMasks, drop_doubtful, pairwise_iou, stability_of, suppress
from models.sam_mi.trained import as_evidence

SIDE = 4


def words(cat: float, spoiled: float) -> Evidence:
    """A cat everywhere, but for one cell in the corner."""
    labels = torch.full((1, SIDE, SIDE), cat)
    labels[0, 0, 0] = spoiled
    return Evidence(labels, 1 - labels[0])


def whole(quality: float = 1.0, logit: float = 20.0) -> SamMasks:
    """One mask over everything."""
    one = torch.ones(1)
    return SamMasks(torch.full((1, SIDE, SIDE), logit), quality * one, one, torch.zeros(1, dtype=torch.int64))


def test_a_good_mask_mends_a_spoiled_cell_and_the_rest_stays():
    mended = correct(words(0.95, 0.3), whole(), 8.0)
    assert words(0.95, 0.3).best()[0][0, 0] == -1
    assert mended.best()[0].eq(0).all()
    torch.testing.assert_close(mended.labels.sum(dim=0) + mended.nothing, torch.ones(SIDE, SIDE))


@pytest.mark.parametrize(
    ("masks", "strength"),
    [
        pytest.param(whole(), 0.0, id="no strength"),
        pytest.param(whole(quality=0.0), 8.0, id="a mask that SAM doubts"),
        pytest.param(whole().select(torch.zeros(1, dtype=torch.bool)), 8.0, id="no mask"),
        pytest.param(whole(logit=-20.0), 8.0, id="an empty mask"),
    ],
)
def test_nothing_changes_for(masks, strength):
    before = words(0.95, 0.3)
    torch.testing.assert_close(correct(before, masks, strength).labels, before.labels)


def test_endless_strength_is_a_vote_inside_the_mask():
    voted = correct(words(0.95, 0.3), whole(), 1e9)
    assert float(voted.labels.std()) < 1e-5


def test_a_mask_that_mixes_names_evenly_may_not_speak():
    quality = torch.ones(2)
    mixed, clear = reliability(torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]), quality)
    assert float(mixed) == pytest.approx(0, abs=1e-6)
    assert float(clear) == 1.0


def test_the_mean_inside_an_empty_mask_is_zero_and_a_number():
    means = mask_means(torch.zeros(1, SIDE, SIDE, dtype=torch.bool), torch.rand(3, SIDE, SIDE))
    assert means.tolist() == [[0.0, 0.0, 0.0]]


def test_names_and_nothing_share_every_cell():
    cost = torch.rand(5, SIDE, SIDE)
    shares = evidence(cost, 3, temperature=10.0, background_cosine=0.5)
    assert shares.labels.shape == (3, SIDE, SIDE)
    torch.testing.assert_close(shares.labels.sum(dim=0) + shares.nothing, torch.ones(SIDE, SIDE))
    label, confidence = shares.best()
    assert torch.equal(label >= 0, confidence > shares.nothing)


def test_a_single_name_without_a_rival_is_refused():
    with pytest.raises(ValueError, match="rival"):
        evidence(torch.rand(1, SIDE, SIDE), 1, temperature=10.0, background_cosine=None)


def test_no_name_at_all_is_nowhere():
    label, confidence = evidence(torch.zeros(0, SIDE, SIDE), 0, temperature=10.0, background_cosine=0.3).best()
    assert label.eq(-1).all()
    assert confidence.eq(0).all()


def test_the_cost_is_the_cosine_of_patch_and_text():
    tokens = torch.randn(1, 1 + 4, 6)
    text = torch.nn.functional.normalize(torch.randn(2, 6), dim=1)
    cost = cost_map(torch.nn.functional.normalize(dense_features(tokens), dim=1), text)
    assert cost.shape == (1, 2, 2, 2)
    expected = torch.cosine_similarity(tokens[0, 1 + 2], text[1], dim=0)  # token 3 is the first of the second row
    assert float(cost[0, 1, 1, 0]) == pytest.approx(float(expected), abs=1e-6)


def test_of_the_network_a_label_must_be_likely_and_beat_its_rivals():
    logits = torch.tensor([1.0, -1.0, 2.0, 1.0]).reshape(2, 2, 1)  # a label over two cells, then its rival
    label, _ = as_evidence(logits, 1, 0.5).best()
    assert label.flatten().tolist() == [-1, -1]
    label, _ = as_evidence(logits[:1], 1, 0.5).best()
    assert label.flatten().tolist() == [0, -1]


def test_a_mask_is_stable_when_its_threshold_does_not_matter():
    logits = torch.tensor([[5.0, 5.0, -5.0, -5.0], [5.0, 0.5, -0.5, -5.0], [-5.0, -5.0, -5.0, -5.0]]).reshape(3, 2, 2)
    assert stability_of(logits).tolist() == pytest.approx([1.0, 1 / 3, 0.0])


def test_doubtful_empty_and_doubled_masks_are_dropped_and_the_best_come_first():
    logits = torch.full((5, SIDE, SIDE), -4.0)
    logits[0, :2], logits[1, :2], logits[2, 3:], logits[3, :, 3:] = 4, 4, 4, 4
    masks = SamMasks(logits, torch.tensor([0.7, 0.9, 0.95, 0.1, 0.9]), torch.ones(5), torch.arange(5))
    kept = drop_doubtful(masks, torch.ones(SIDE, SIDE, dtype=torch.bool), tiny_preset())
    assert kept.point.tolist() == [2, 1]


def test_what_overlaps_a_better_one_is_suppressed():
    overlap = pairwise_iou(torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]).bool().reshape(3, 2, 2))
    assert overlap[0].tolist() == pytest.approx([1, 2 / 3, 0])
    assert suppress(overlap, 0.6).tolist() == [0, 2]
    assert suppress(overlap, 0.7).tolist() == [0, 1, 2]
