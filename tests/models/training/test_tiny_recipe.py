"""The whole recipe in small: every stage runs, learns what it should and nothing else, and its weights load and answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.emoji_scenes import generate, grammar_words
from models.loading import load_engine
from models.ssp_sam.config import tiny
from models.ssp_sam.sam_masks import build_sam, positional_code
from models.training.starts import smooth_position_weight, start_sam_from_clip
from models.training.tiny_recipe import (
    CALIBRATION,
    STAGES,
    TinyTraining,
    debug_recipe,
    known_words,
    train_tiny,
)
from tests.emoji_world import make_bank

FROZEN = {
    "clip": ("sam.", "visual_adapter.", "generator."),
    "sam": ("clip.", "visual_adapter.", "generator."),
    "prompt": ("clip.visual.", "sam."),
    "joint": ("clip.visual.",),
}
TRAINED = {
    "clip": ("clip.visual.conv1.", "clip.visual.transformer.", "clip.transformer."),
    "sam": ("sam.image_encoder.", "sam.mask_decoder.transformer.", "sam.prompt_encoder.point_reader."),
    "prompt": (
        "visual_adapter.", "linguistic_adapter.", "generator.", "presence_head.", "point_prompts.", "word_identities.", "clip.transformer.",
    ),
    "joint": ("clip.transformer.", "sam.image_encoder.", "sam.mask_decoder.transformer.", "generator.", "presence_head."),
}  # fmt: skip


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> TinyTraining:
    root: Path = tmp_path_factory.mktemp("tiny")
    for name, split, dense in (("dense", "train", True), ("train", "train", False), (CALIBRATION, CALIBRATION, False)):
        generate(root / name, split, 6, seed=3, glyphs=make_bank(), dense=dense, workers=1, progress=False)
    return TinyTraining(debug_recipe(), root, root / "run")


def checkpoint(training: TinyTraining, stage: str) -> dict[str, torch.Tensor]:
    return torch.load(training.run_dir / f"{stage}.pt", weights_only=True)["model"]


@pytest.mark.slow
def test_every_stage_moves_its_own_parameters_and_the_weights_answer(training):
    model = training.run()
    before = checkpoint(training, "clip")
    for stage in STAGES[1:]:
        after = checkpoint(training, stage)
        changed = {name for name, value in after.items() if not torch.equal(value, before[name]) and value.is_floating_point()}
        for prefix in TRAINED[stage]:
            assert any(name.startswith(prefix) for name in changed), f"{stage} left {prefix} alone"
        if stage != "sam":  # which begins with a copy into SAM's encoder
            assert not [name for name in changed if name.startswith(FROZEN[stage])]
        before = after
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name

    engine = load_engine(str(training.write_weights(model)), device="cpu")
    answer = engine.segment(np.zeros((50, 70, 3), np.uint8), ["the red car", "all dogs"])
    assert len(answer) == 2
    assert engine.version.startswith("tiny-")


def test_the_vocabulary_holds_every_word_of_the_grammar(training):
    assert [word for word in grammar_words() if training.tokenizer.unknown_words(word)] == []
    assert training.tokenizer.unknown_words("the quizzical dog") == ["quizzical"]
    assert len(set(known_words())) > 300


def test_sam_starts_with_what_clip_has_learned(training):
    from models.ssp_sam.model import SspSam

    model = SspSam(training.config)
    start_sam_from_clip(model)
    clip, sam = model.clip.visual, model.sam.image_encoder
    assert torch.equal(sam.blocks[0].attn.qkv.weight, clip.transformer.resblocks[0].attn.in_proj_weight)
    assert torch.equal(sam.pos_embed.flatten(0, 2), clip.positional_embedding[1:])
    image = torch.randn(1, 3, 256, 256)
    assert torch.equal(sam.patch_embed.eval()(image), clip.conv1.eval()(image))


def test_an_unknown_stage_is_refused_with_the_stages_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"unknown stage 'dessert'; the stages are clip, sam, prompt, joint$"):
        train_tiny(tmp_path / "scenes", tmp_path / "run", until="dessert")
    assert not list(tmp_path.iterdir()), "before any scene is made"


def test_the_head_starts_with_positions_of_size_one_that_tell_left_from_right_and_top_from_bottom():
    torch.manual_seed(0)
    config = tiny().sam
    code = positional_code(build_sam(config)).detach()
    places = code @ smooth_position_weight(code, config.grid).T
    assert places.std().item() == pytest.approx(1, abs=0.1)
    x = torch.linspace(-1, 1, config.grid).repeat(config.grid)
    y = torch.linspace(-1, 1, config.grid).repeat_interleave(config.grid)
    axes = torch.stack([x, y, torch.ones_like(x)], dim=1)
    unexplained = places - axes @ torch.linalg.lstsq(axes, places).solution
    assert unexplained.var() < 0.3 * places.var(), "most of what differs between cells is where they are along the axes"
