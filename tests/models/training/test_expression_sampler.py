"""Which expressions a batch asks."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.emoji_scenes import CLASSES, COLORS, SceneSet, generate
from models.ssp_sam.tokenizer import PhraseTokenizer, vocabulary_of
from models.training.batches import SceneSampler
from models.training.prompt_stage import ExpressionSampler
from models.training.tiny_recipe import known_words
from tests.emoji_world import make_bank


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> SceneSampler:
    folder = tmp_path_factory.mktemp("scenes") / "train"
    made = SceneSet(generate(folder, "train", 6, seed=1, glyphs=make_bank(), workers=1, progress=False))
    return SceneSampler([(made, 1.0)], CLASSES, COLORS)


def sampler(scenes: SceneSampler, **options) -> ExpressionSampler:
    return ExpressionSampler(scenes, PhraseTokenizer(24, vocabulary_of(known_words())), 8, **options)


def test_what_is_left_out_is_not_asked(scenes):
    everything = sampler(scenes).batch(np.random.default_rng(0), 6)
    with_target = sampler(scenes, leave_out=lambda expression, meta: not expression.targets).batch(np.random.default_rng(0), 6)
    assert 0 < len(with_target.ids) < len(everything.ids)
    assert with_target.has_target.all()
    assert not everything.has_target.all()
    assert len(with_target.ids) == len(with_target.image) == int(everything.has_target.sum())


def test_a_batch_of_which_nothing_is_left_asks_everything(scenes):
    everything = sampler(scenes).batch(np.random.default_rng(0), 2)
    nothing_left = sampler(scenes, leave_out=lambda expression, meta: True).batch(np.random.default_rng(0), 2)
    assert nothing_left.ids.tolist() == everything.ids.tolist()
