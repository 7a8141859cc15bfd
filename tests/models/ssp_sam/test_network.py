"""What the network promises apart from its numbers: plain CLIP inside, samples that do not mix, padding without weight, frozen parts."""

from __future__ import annotations

from dataclasses import replace

import open_clip.model
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.ssp_sam.clip_surgery import SurgeryClip
from models.ssp_sam.config import contract, ssp_sam_224, tiny
from models.ssp_sam.model import PhraseFeatures, SspSam, trainable_head
from models.ssp_sam.published_extras import relative_position_table
from tests.models.ssp_sam.networks import inputs, perturbed, phrase_ids, without_surgery


@pytest.fixture(scope="module")
def model() -> SspSam:
    return perturbed()


def plain_clip(model: SspSam) -> open_clip.model.CLIP:
    """open_clip's own class with the same weights."""
    clip = contract().clip
    vision = open_clip.model.CLIPVisionCfg(
        layers=clip.vision_layers, width=clip.vision_width, head_width=clip.vision_width // clip.vision_heads,
        patch_size=clip.patch_size, image_size=clip.image_size, output_tokens=True,
    )  # fmt: skip
    text = open_clip.model.CLIPTextCfg(
        context_length=clip.context_length,
        vocab_size=clip.vocab_size,
        width=clip.text_width,
        heads=clip.text_heads,
        layers=clip.text_layers,
    )
    plain = open_clip.model.CLIP(clip.embed_dim, vision, text, quick_gelu=True).eval()
    plain.load_state_dict(model.clip.state_dict(), strict=True)
    return plain


def clip_with_blocks(model: SspSam, blocks: int) -> SurgeryClip:
    config = without_surgery(contract()).clip if blocks == 0 else contract().clip
    clip = SurgeryClip(config).eval()
    clip.load_state_dict(model.clip.state_dict(), strict=True)
    return clip


@torch.inference_mode()
def test_without_surgery_blocks_all_tokens_are_those_of_plain_clip(model):
    image, _, _ = inputs(contract(), 2, 2)
    plain = plain_clip(model)
    pooled, patches = plain.visual(image)
    tokens = clip_with_blocks(model, 0).encode_patches(image)
    torch.testing.assert_close(tokens[:, 0], pooled, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens[:, 1:], patches @ plain.visual.proj, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_with_surgery_the_class_token_stays_and_the_patches_change(model):
    image, _, _ = inputs(contract(), 2, 2)
    without, with_surgery = (clip_with_blocks(model, blocks).encode_patches(image) for blocks in (0, 6))
    torch.testing.assert_close(with_surgery[:, 0], without[:, 0], atol=1e-5, rtol=0)
    assert (with_surgery[:, 1:] - without[:, 1:]).abs().amax(dim=(1, 2)).min() > 0.1


@torch.inference_mode()
def test_the_sentence_is_plain_clips_text_embedding(model):
    ids = phrase_ids(contract(), 1, 6, 14)
    sentence, words = model.clip.encode_words(ids)
    torch.testing.assert_close(sentence, plain_clip(model).encode_text(ids), atol=1e-5, rtol=0)
    assert words.shape == (3, contract().clip.context_length, contract().clip.text_width)


def test_clip_uses_quick_gelu_everywhere(model):
    activations = [m for m in model.clip.modules() if isinstance(m, (nn.GELU, open_clip.model.QuickGELU))]
    assert len(activations) == contract().clip.vision_layers + contract().clip.text_layers
    assert all(isinstance(activation, open_clip.model.QuickGELU) for activation in activations)


@torch.inference_mode()
def test_a_batch_of_two_equals_two_batches_of_one(model):
    sample = inputs(contract(), 3, 11)
    together = model(*sample)
    apart = [model(*(part[i : i + 1] for part in sample)) for i in range(2)]
    for name in ("box", "low_res_logits", "predicted_iou"):
        alone = torch.cat([getattr(prediction, name) for prediction in apart])
        torch.testing.assert_close(getattr(together, name), alone, atol=1e-5, rtol=0)
    assert (together.low_res_logits[0] - together.low_res_logits[1]).abs().max() > 0.1


@torch.inference_mode()
def test_many_phrases_on_one_image_equal_each_alone(model):
    image, ids, _ = inputs(contract(), 3, 11, 5)
    sam_image = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    features = model.encode_images(image[:1], sam_image)
    together = model.decode(features.repeat(3), model.encode_phrases(ids)).low_res_logits
    chosen = model.decode(features.select(torch.zeros(3, dtype=torch.int64)), model.encode_phrases(ids)).low_res_logits
    alone = torch.cat([model(image[:1], ids[i : i + 1], sam_image).low_res_logits for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(chosen, alone, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_padding_reaches_the_phrase_only_through_the_gru(model):
    phrases = model.encode_phrases(phrase_ids(contract(), 4))
    changed = phrases.words.clone()
    changed[:, 6:] += 1.0
    adapter = model.linguistic_adapter
    assert phrases.padding[0].tolist() == [False] * 6 + [True] * 10
    heard = [adapter(words, phrases.padding)[1] for words in (phrases.words, changed)]
    assert (heard[0] - heard[1]).abs().max() > 1e-4  # the backward GRU reads padding first
    with_deaf_gru = [_phrase_with_states(adapter, phrases, words) for words in (phrases.words, changed)]
    assert torch.equal(*with_deaf_gru)


def _phrase_with_states(adapter: nn.Module, phrases: PhraseFeatures, words: torch.Tensor) -> torch.Tensor:
    """The phrase when the GRU has read the original words, but the sum runs over ``words``."""
    states, _ = adapter.gru(adapter.word_projection(phrases.words))
    hook = adapter.gru.register_forward_hook(lambda *_: (states, None))
    try:
        return adapter(words, phrases.padding)[1]
    finally:
        hook.remove()


@torch.inference_mode()
def test_the_masked_softmax_equals_softmax_then_mask_then_renormalise(model):
    phrases = model.encode_phrases(phrase_ids(contract(), 1, 7))
    adapter = model.linguistic_adapter
    projected, phrase = adapter(phrases.words, phrases.padding)
    weights = adapter.word_score(adapter.gru(projected)[0]).squeeze(-1).softmax(dim=1) * ~phrases.padding
    weights = weights / weights.sum(dim=1, keepdim=True)
    torch.testing.assert_close(phrase, torch.einsum("kt,ktd->kd", weights, projected), atol=1e-6, rtol=0)


def test_one_resize_to_the_mask_canvas_equals_two():
    logits = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.device("meta"):
        model = SspSam(ssp_sam_224())
    two_steps = F.interpolate(logits[:, None], (1024, 1024), mode="bilinear", align_corners=False)
    two_steps = F.interpolate(two_steps, (512, 512), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(model.mask_logits(logits), two_steps, atol=1e-5, rtol=0)


NEVER_TRAINED = ("published_extras.", "sam.mask_decoder.iou_prediction_head.", "clip.", "sam.image_encoder.", "sam.prompt_encoder.")
OTHER_MASKS = tuple(f"sam.mask_decoder.output_hypernetworks_mlps.{mask}." for mask in (1, 2, 3))


@pytest.mark.parametrize("decoder_too", [False, True], ids=["decoder frozen", "decoder fine-tuned"])
def test_gradients_reach_the_head_and_nothing_that_stays_frozen(decoder_too):
    model = perturbed().requires_grad_(False)
    learned = [*trainable_head(model), *(model.sam.mask_decoder.parameters() if decoder_too else ())]
    for parameter in learned:
        parameter.requires_grad_(True)
    prediction = model(*inputs(contract(), 3, 8))
    (prediction.box.sum() + model.mask_logits(prediction.low_res_logits).square().mean()).backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    expected = {name for name, _ in model.named_parameters() if not name.startswith((*NEVER_TRAINED, *OTHER_MASKS))}
    if not decoder_too:
        expected = {name for name in expected if not name.startswith("sam.mask_decoder.")}
    # What shifts all logits of a softmax alike changes nothing: its gradient is rounding at most.
    without_effect = {name for name in expected if name.endswith(("k_proj.bias", "word_score.bias"))}
    assert reached - without_effect == expected - without_effect


def test_relative_positions_are_a_sine_and_cosine_code_of_minus_14_to_14():
    table = relative_position_table(128)
    assert table.shape == (29, 128)
    torch.testing.assert_close(table[14], torch.tensor([0.0, 1.0] * 64))
    angle = torch.tensor(3 / (14 + 1e-6) * 2 * torch.pi)
    torch.testing.assert_close(table[17, :2], torch.stack([angle.sin(), angle.cos()]))
    torch.testing.assert_close(table[17, 2:4], torch.stack([(angle / 10000 ** (2 / 128)).sin(), (angle / 10000 ** (2 / 128)).cos()]))


@torch.inference_mode()
def test_the_switches_of_tiny_run_together_and_fill_every_field():
    torch.manual_seed(0)
    config = tiny(vocab_size=128)
    model = SspSam(config).eval()
    ids = phrase_ids(config, 2, 20)
    images = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    *fields, earlier = model(images, ids, images)
    patches = config.clip.grid**2
    assert [tuple(field.shape) for field in fields] == [(2, 4), (2, 64, 64), (2,), (2, patches), (2,)]
    assert all(field.isfinite().all() for field in fields)
    assert not earlier, "only training asks the earlier layers"
    *_, earlier = model.train()(images, ids, images)
    assert [tuple(one.shape) for one in earlier] == [(2, patches)] * (config.head.generator_layers - 1)


@torch.no_grad()
def test_with_identities_words_that_clip_takes_for_one_still_differ():
    config = tiny()
    plain = replace(config, head=replace(config.head, word_identities=False))
    with_switch, without = SspSam(config).eval(), SspSam(plain).eval()
    ids = torch.zeros(2, 24, dtype=torch.int64)
    ids[:, :4] = torch.tensor([[510, 7, 9, 511], [510, 7, 11, 511]])
    for model in (with_switch, without):
        model.clip.token_embedding.weight[11] = model.clip.token_embedding.weight[9]
    assert torch.equal(*without.encode_phrases(ids).words)
    phrases = with_switch.encode_phrases(ids)
    assert torch.equal(*phrases.sentence)
    differs = (phrases.words[0] != phrases.words[1]).any(dim=-1)
    assert differs.nonzero().flatten().tolist() == [2]


@torch.no_grad()
def test_directed_positions_let_two_phrases_see_the_same_place_differently():
    torch.manual_seed(0)
    generator = SspSam(tiny()).generator.eval()
    where = torch.randn(generator.patches, 128)
    fused, words = torch.zeros(2, generator.patches, 128), torch.zeros(2, 24, 128)
    phrases = torch.randn(2, 128)

    def patches_differ() -> bool:
        first, second = generator(fused, phrases, words, where, fused).patches
        return not torch.allclose(first, second, atol=1e-4)

    assert patches_differ()
    generator.direction.weight.zero_()
    assert not patches_differ(), "nothing else in this input tells the phrases apart"


@torch.no_grad()
def test_patch_shapes_bring_in_what_sam_sees_and_start_at_nothing():
    torch.manual_seed(0)
    generator = SspSam(tiny()).generator.eval()
    fused, words, phrase = torch.randn(1, generator.patches, 128), torch.zeros(1, 24, 128), torch.randn(1, 128)
    where, shapes = torch.randn(generator.patches, 128), torch.randn(2, 1, generator.patches, 128)

    def shapes_differ() -> bool:
        first, second = (generator(fused, phrase, words, where, one).patches for one in shapes)
        return not torch.equal(first, second)

    assert not shapes_differ(), "the weight is zero at first"
    generator.shape_mix.weight.normal_()
    assert shapes_differ()
