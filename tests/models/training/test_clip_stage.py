"""What CLIP is told of each patch, and what it is not asked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from models.data.emoji_scenes import CLASSES, COLORS
from models.data.emoji_scenes.meta import SceneMeta
from models.data.emoji_scenes.splits import is_held_out
from models.training import clip_stage
from models.training.clip_stage import IGNORED, asked_only, naming_loss, patch_text_loss
from models.training.tiny_recipe import in_other_hues, kept_apart

APART = torch.tensor([[False, True], [False, False]])
"""Of two colours and two classes: the first colour is never that of the second class."""
NO_PARTS = [IGNORED] * 3


def test_a_name_that_is_kept_from_the_colour_of_a_patch_is_not_learned_from():
    cosine = torch.tensor([[0.1, 0.8], [0.1, 0.8], [0.1, 0.8]], requires_grad=True)
    colour, name = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
    asked = asked_only(cosine, APART, colour, torch.tensor([True, True, True]), name)
    loss, logits = naming_loss(asked, torch.tensor(10.0), name)
    assert logits.shape == (3, 3)
    (gradient,) = torch.autograd.grad(loss, cosine)
    assert gradient[0, 1] == 0
    assert gradient[1, 1] > 0, "its colour goes with either class"
    assert gradient[2, 1] < 0, "its own name: a cactus is green by itself, even where training never says so"


def test_a_patch_without_a_colour_is_asked_for_every_name():
    cosine = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    name = torch.tensor([0, 1, 0, 2, IGNORED])
    same = asked_only(cosine, APART, torch.full((5,), IGNORED), torch.zeros(5, dtype=torch.bool), name)
    assert torch.equal(same, cosine)


def test_what_is_kept_apart_are_the_held_out_pairs_of_colour_and_class():
    apart = kept_apart()
    assert apart.shape == (len(COLORS), len(CLASSES))
    assert apart[COLORS.index("red"), CLASSES.index("car")] == is_held_out(("color", "red", "car"))
    assert 0.1 < apart.float().mean() < 0.2, "about one pair in seven"


def gradients(monkeypatch, **labels: list[int]) -> torch.Tensor:
    """How the loss of three patches hangs on their cosines to two classes and two colours."""
    cosine = torch.zeros(3, 4, requires_grad=True)
    monkeypatch.setattr(clip_stage, "label_cosines", lambda *_: (cosine, torch.tensor(10.0)))
    batch = SimpleNamespace(colour_count=2, **{name: torch.tensor([numbers]) for name, numbers in labels.items()})
    loss, _ = patch_text_loss(None, torch.zeros(1, 3, 1), batch, torch.zeros(4, 1), APART)
    (gradient,) = torch.autograd.grad(loss, cosine)
    return gradient


def test_neither_names_nor_colours_learn_from_what_is_kept_apart(monkeypatch):
    gradient = gradients(monkeypatch, patch_class=[0, 0, 1], patch_colour=[0, 1, 1], part_colour=NO_PARTS)
    assert (gradient[:, 1] > 0).tolist() == [False, True, False]
    assert gradient[0, 1] == 0, "whether what has the first colour is of the second class"
    assert (gradient[:, 2] == 0).tolist() == [False, False, True], "whether what is of the second class has the first colour"


def test_parts_of_what_has_no_colour_are_asked_for_everything(monkeypatch):
    gradient = gradients(monkeypatch, patch_class=[1, 1, 0], patch_colour=NO_PARTS, part_colour=[0, 1, 0])
    assert (gradient[:, 2] < 0).tolist() == [True, False, True], "half in the first colour, one of the second class may say so"
    assert (gradient != 0).all()


def test_some_scenes_are_repainted_some_relit_and_some_stay():
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    meta = SceneMeta((256, 256), "plain", ())
    ids = np.zeros((256, 256), np.uint8)
    rng = np.random.default_rng(0)
    relit = sum(not np.array_equal(in_other_hues(image, ids, meta, rng)[0], image) for _ in range(200))
    assert 16 < relit < 48, "three in twenty; without objects, nothing else changes"
