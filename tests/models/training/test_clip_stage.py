"""What CLIP is told of each patch, and what it is not asked."""

from __future__ import annotations

import pytest
import torch

from models.data.emoji_scenes import CLASSES, COLORS
from models.data.emoji_scenes.splits import is_held_out
from models.training.clip_stage import IGNORED, naming_loss
from models.training.tiny_recipe import kept_apart


def test_a_name_that_is_not_asked_costs_nothing_and_is_not_learned_from():
    cosine = torch.tensor([[0.1, 0.8, 0.2]], requires_grad=True)
    target = torch.tensor([0])
    asked, _ = naming_loss(cosine, torch.tensor(10.0), target)
    not_asked, logits = naming_loss(cosine, torch.tensor(10.0), target, torch.tensor([[False, True, False]]))
    assert not_asked < asked
    assert logits.shape == (1, 4)
    (gradient,) = torch.autograd.grad(not_asked, cosine)
    assert gradient[0, 1] == 0
    assert gradient[0, 0] < 0 < gradient[0, 2]


def test_names_that_are_not_asked_change_nothing_for_other_patches():
    cosine = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 3, IGNORED])
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    plain, _ = naming_loss(cosine, torch.tensor(10.0), target)
    same, _ = naming_loss(cosine, torch.tensor(10.0), target, nothing)
    assert same.item() == pytest.approx(plain.item())


def test_a_patch_is_always_asked_for_its_own_name():
    cosine = torch.tensor([[0.1, 0.8, 0.2]])
    plain, _ = naming_loss(cosine, torch.tensor(10.0), torch.tensor([1]))
    same, _ = naming_loss(cosine, torch.tensor(10.0), torch.tensor([1]), torch.tensor([[False, True, False]]))
    assert same.item() == pytest.approx(plain.item()), "a cactus is green by itself, even where training never says so"


def test_what_is_kept_apart_are_the_held_out_pairs_of_colour_and_class():
    apart = kept_apart()
    assert apart.shape == (len(COLORS), len(CLASSES))
    assert apart[COLORS.index("red"), CLASSES.index("car")] == is_held_out(("color", "red", "car"))
    assert 0.1 < apart.float().mean() < 0.2, "about one pair in seven"
