"""What CLIP is told of each patch, and what it is not asked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.data.emoji_scenes import CLASSES, COLORS
from models.data.emoji_scenes.meta import SceneMeta
from models.data.emoji_scenes.splits import is_held_out
from models.training import clip_stage
from models.training.clip_stage import IGNORED, naming_loss, patch_text_loss
from models.training.tiny_recipe import in_other_hues, kept_apart


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


def test_a_patch_of_a_colour_is_not_asked_for_what_is_kept_from_that_colour(monkeypatch):
    cosine = torch.zeros(3, 4, requires_grad=True)  # two classes, two colours
    monkeypatch.setattr(clip_stage, "label_cosines", lambda *_: (cosine, torch.tensor(10.0)))
    batch = SimpleNamespace(colour_count=2, patch_class=torch.tensor([[0, 0, 0]]), patch_colour=torch.tensor([[0, 1, IGNORED]]))
    apart = torch.tensor([[False, True], [False, False]])
    loss, _ = patch_text_loss(None, torch.zeros(1, 3, 1), batch, torch.zeros(4, 1), apart)
    (gradient,) = torch.autograd.grad(loss, cosine)
    assert (gradient[:, 1] > 0).tolist() == [False, True, True]


def test_some_scenes_are_repainted_some_relit_and_some_stay():
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    meta = SceneMeta((256, 256), "plain", ())
    ids = np.zeros((256, 256), np.uint8)
    rng = np.random.default_rng(0)
    relit = sum(not np.array_equal(in_other_hues(image, ids, meta, rng)[0], image) for _ in range(200))
    assert 30 < relit < 70, "one in four; without objects, nothing else changes"
