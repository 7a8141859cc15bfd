"""What may be joined is joined, once; what may not stays apart."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.sam_mi.aggregation import Descriptors, JoinedMasks, aggregate, agreement, describe
from models.sam_mi.presets import Preset, tiny_preset
from models.sam_mi.sam_proposals import SamMasks

SIDE = 8
CAT, DOG, NOTHING = torch.eye(3)


def masks(*boxes: tuple[int, int, int, int]) -> SamMasks:
    """Boxes x0, y0, x1, y1 as masks."""
    logits = torch.full((len(boxes), SIDE, SIDE), -4.0)
    for row, (x0, y0, x1, y1) in enumerate(boxes):
        logits[row, y0:y1, x0:x1] = 4.0
    quality = torch.linspace(0.9, 0.8, len(boxes))
    return SamMasks(logits, quality, torch.ones(len(boxes)), torch.arange(len(boxes)))


def join(found: SamMasks, shown: list[Tensor], *, preset: Preset | None = None, things: bool = True, stuff: bool = False) -> JoinedMasks:
    """Aggregate masks that show cat, dog or nothing; equal words mean equal features here."""
    seen = Descriptors(torch.stack(shown), torch.stack(shown)) if shown else Descriptors(torch.zeros(0, 3), torch.zeros(0, 3))
    everywhere = torch.ones(SIDE, SIDE, dtype=torch.bool)
    return aggregate(found, seen, torch.tensor([stuff, stuff, True]), everywhere, preset or tiny_preset(), join_things=things)


LEFT, RIGHT, HEAD, FAR = (0, 0, 3, 4), (3, 0, 6, 4), (0, 0, 2, 2), (5, 6, 8, 8)


@pytest.mark.parametrize(
    ("boxes", "shown", "members"),
    [
        pytest.param([LEFT, RIGHT], [CAT, CAT], ((0, 1),), id="neighbours that look alike"),
        pytest.param([LEFT, RIGHT], [CAT, DOG], ((0,), (1,)), id="neighbours with other labels"),
        pytest.param([LEFT, FAR], [CAT, CAT], ((0,), (1,)), id="alike but apart"),
        pytest.param([LEFT, HEAD], [CAT, CAT], ((0, 1),), id="a part and its whole"),
        pytest.param([LEFT, HEAD], [CAT, DOG], ((0,), (1,)), id="a dog on a cat"),
        pytest.param([], [], (), id="no mask"),
        pytest.param([LEFT], [CAT], ((0,),), id="one mask"),
    ],
)
def test_joined_are(boxes, shown, members):
    assert join(masks(*boxes), shown).members == members


def test_objects_are_not_joined_with_their_neighbours_but_stuff_is():
    assert len(join(masks(LEFT, RIGHT), [CAT, CAT], things=False).members) == 2
    assert len(join(masks(LEFT, RIGHT), [CAT, CAT], things=False, stuff=True).members) == 1
    assert len(join(masks(LEFT, HEAD), [CAT, CAT], things=False).members) == 1


def test_nothing_grows_beyond_the_cap_unless_it_is_stuff():
    preset = replace(tiny_preset(), largest_join=0.3)
    assert len(join(masks(LEFT, RIGHT), [CAT, CAT], preset=preset).members) == 2
    assert len(join(masks(LEFT, RIGHT), [CAT, CAT], preset=preset, stuff=True).members) == 1
    whole = (0, 0, 8, 8)
    assert len(join(masks(whole, HEAD), [CAT, CAT], preset=preset).members) == 1  # a part lets nothing grow


def test_a_joined_mask_covers_its_members_and_scores_like_their_mean_by_area():
    joined = join(masks(LEFT, RIGHT, FAR), [CAT, CAT, CAT])
    assert len(joined.masks.logits) == 2
    assert int(joined.masks.hard.sum()) == 12 + 12 + 6
    assert joined.masks.predicted_iou[0] == pytest.approx((0.9 + 0.85) / 2)
    assert joined.masks.point.tolist() == [0, 2]


def test_joining_again_changes_nothing_where_masks_are_apart_and_unlike():
    once = join(masks(LEFT, RIGHT, FAR), [CAT, DOG, CAT])
    again = join(once.masks, [CAT, DOG, CAT])
    assert again.members == ((0,), (1,), (2,))
    assert torch.equal(again.masks.logits, once.masks.logits)


def test_the_order_of_masks_decides_nothing_but_the_order_of_the_answer():
    boxes, shown = [LEFT, RIGHT, HEAD, FAR, (6, 0, 8, 4)], [CAT, CAT, CAT, DOG, DOG]
    expected = join(masks(*boxes), shown)
    for seed in range(5):
        order = torch.randperm(5, generator=torch.Generator().manual_seed(seed)).tolist()
        found = join(masks(*(boxes[one] for one in order)), [shown[one] for one in order])
        assert {frozenset(order[one] for one in group) for group in found.members} == set(map(frozenset, expected.members))


def test_there_are_never_more_masks_than_before_and_their_union_stays():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, SIDE, SIDE, generator=generator)
    found = SamMasks(logits, torch.rand(12, generator=generator), torch.ones(12), torch.arange(12))
    features, words = torch.randn(5, 4, 4, generator=generator), torch.rand(3, SIDE, SIDE, generator=generator).softmax(dim=0)
    seen = describe(found.hard, features, words)
    preset = replace(tiny_preset(), part_similarity=0.0, neighbour_similarity=0.0, part_containment=0.4, largest_join=1.0)
    joined = aggregate(found, seen, torch.tensor([False, False, True]), torch.ones(SIDE, SIDE, dtype=torch.bool), preset, join_things=True)
    assert 0 < len(joined.members) < 12
    assert sorted(one for group in joined.members for one in group) == list(range(12))
    assert torch.equal(joined.masks.hard.any(dim=0), found.hard.any(dim=0))


def test_descriptors_are_means_over_the_mask():
    words = torch.zeros(3, SIDE, SIDE)
    words[0, :, :4], words[1, :, 4:] = 1, 1
    seen = describe(masks((0, 0, 4, 8), (2, 0, 6, 8)).hard, torch.ones(4, 2, 2), words)
    assert seen.probability.tolist() == [[1, 0, 0], [0.5, 0.5, 0]]
    assert seen.feature.norm(dim=1).tolist() == pytest.approx([1, 1])


def test_agreement_is_one_with_oneself_and_zero_with_the_opposite():
    both = torch.stack([CAT, DOG, torch.tensor([0.5, 0.5, 0.0])])
    table = agreement(both)
    assert table.diagonal().tolist() == pytest.approx([1, 1, 1])
    assert float(table[0, 1]) == pytest.approx(0, abs=1e-6)
    assert float(table[0, 2]) == pytest.approx(1 - (math.log2(1 / 0.75) + 0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25)) / 2)
