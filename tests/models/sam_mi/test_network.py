"""What the trained network promises whatever its weights are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from models.sam_mi.config import CONFIGURATIONS, SamMiConfig, contract, named_config
from models.sam_mi.cost_map import cost_map
from models.sam_mi.injection import MaskInput, pool_and_write
from models.sam_mi.model import ImageMaps, SamMi, TapMaps
from models.sam_mi.prompter import cost_statistics, point_loss
from tests.models.sam_mi.networks import GRID, maps, masks, random_network, texts

NO_MASKS = MaskInput(torch.zeros(2, 0, 4 * GRID, 4 * GRID), torch.zeros(2, 0, dtype=torch.bool))


@pytest.mark.parametrize("labels", [0, 1, 2, 5, 300])
def test_any_number_of_labels_is_answered_without_rebuilding(labels):
    with torch.no_grad():
        logits = random_network(open_gates=True)(maps(), texts(labels), masks())
    assert logits.shape == (2, labels, 4 * GRID, 4 * GRID)
    assert logits.isfinite().all()


def test_the_order_of_labels_orders_the_answers_and_changes_nothing_else():
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = random_network(open_gates=True)
        logits, shuffled = made(maps(), texts(7), masks()), made(maps(), texts(7)[order], masks())
    assert logits.std() > 0.01
    torch.testing.assert_close(shuffled, logits[:, order], atol=1e-4, rtol=0)


def test_of_too_many_labels_the_strongest_of_an_image_are_scored_and_the_others_refused():
    config = replace(contract(), most_labels=3)
    network, images, words = random_network(config), maps(config), texts(5)
    with torch.no_grad():
        logits = network(images, words, masks())
        cosines = cost_map(F.normalize(images.features, dim=1), words).amax(dim=(2, 3))
    for row, one in zip(logits, cosines, strict=True):
        seen = row.amax(dim=(1, 2)) > -100
        assert seen.nonzero().flatten().tolist() == sorted(one.topk(3).indices.tolist())
        assert (row[~seen] == -100).all()


def test_images_may_be_asked_for_different_labels():
    made, images = random_network(open_gates=True), maps()
    words = torch.stack([texts(7)[:4], texts(7)[3:]])
    with torch.no_grad():
        together = made(images, words, masks())
        for row, one in enumerate(together):
            alone = ImageMaps(*(part[row : row + 1] for part in images))
            own = MaskInput(*(part[row : row + 1] for part in masks()))
            torch.testing.assert_close(made(alone, words[row], own)[0], one, atol=1e-4, rtol=0)


def test_labels_in_parts_give_what_all_at_once_give(monkeypatch):
    made = random_network(open_gates=True)
    with torch.no_grad():
        whole = made(maps(), texts(5), masks())
        for module in ("aggregator", "decoder"):
            monkeypatch.setattr(f"models.sam_mi.{module}.LABELS_AT_ONCE", 2)
        torch.testing.assert_close(made(maps(), texts(5), masks()), whole, atol=1e-5, rtol=0)


def test_with_shut_gates_masks_change_nothing_and_with_open_gates_they_do():
    with torch.no_grad():
        shut, opened = random_network(), random_network(open_gates=True)
        assert torch.equal(shut(maps(), texts(3), masks()), shut(maps(), texts(3), NO_MASKS))
        assert not torch.allclose(opened(maps(), texts(3), masks()), opened(maps(), texts(3), NO_MASKS), atol=1e-3)


@pytest.mark.parametrize("edge_filter", ["laplacian", "mask"])
def test_masks_that_do_not_count_are_as_good_as_none(edge_filter):
    made = random_network(replace(contract(), edge_filter=edge_filter), open_gates=True)
    with torch.no_grad():
        invalid = made(maps(), texts(3), masks(valid=False))
        assert invalid.isfinite().all()
        torch.testing.assert_close(invalid, made(maps(), texts(3), NO_MASKS))


def test_an_image_without_masks_is_not_disturbed_by_the_masks_of_another():
    made = random_network(open_gates=True)
    both = masks()
    only_second = MaskInput(both.soft, torch.tensor([[False] * 3, [True] * 3]))
    with torch.no_grad():
        mixed, none = made(maps(), texts(3), only_second), made(maps(), texts(3), NO_MASKS)
    torch.testing.assert_close(mixed[0], none[0])
    assert not torch.allclose(mixed[1], none[1], atol=1e-3)


def test_every_gate_and_both_heads_of_the_prompter_learn():
    made = random_network().train()
    made(maps(), texts(3), masks()).square().mean().backward()
    for gate in (made.low.intra_gate, made.low.inter_gate, made.low.cost_gate, made.high1.gate, made.high2.gate):
        assert gate.grad is not None
        assert gate.grad.abs().max() > 0
    target = torch.zeros(2, GRID, GRID)
    target[:, 1, 1] = 1.0
    point_loss(made.point_logits(maps(), texts(3)), target, torch.ones(2, GRID, GRID, dtype=torch.bool)).backward()
    for head in (made.prompter.text_head, made.prompter.visual_head):
        assert head.weight.grad.abs().max() > 0


def test_the_prompter_reads_any_vocabulary_in_any_order():
    statistics = cost_statistics(torch.randn(1, 5, 2, 2), 8)
    assert statistics.shape == (1, 2, 2, 9)
    cost = torch.randn(1, 12, 2, 2)
    order = torch.randperm(12)
    torch.testing.assert_close(cost_statistics(cost[:, order], 8), cost_statistics(cost, 8))
    assert cost_statistics(torch.randn(1, 1, 2, 2), 8).abs().max() < 1e-6  # a single label leads nobody


def test_masks_that_tile_the_image_give_back_what_is_constant_within_them():
    tiles = torch.zeros(1, 2, GRID, GRID)
    tiles[0, 0, :, :2], tiles[0, 1, :, 2:] = 1, 1
    constant = torch.randn(1, 2, 5).transpose(1, 2) @ tiles.flatten(2)
    constant = constant.reshape(1, 5, GRID, GRID)
    pooled = pool_and_write(constant, tiles)
    torch.testing.assert_close(pooled.written, constant, atol=1e-4, rtol=1e-4)
    assert torch.equal(pooled.coverage, torch.ones(1, 1, GRID, GRID))


def test_learned_padding_makes_an_answer_depend_on_itself_alone_no_less():
    config = replace(contract(), padded=True, most_labels=8)
    with torch.no_grad():
        logits = random_network(config)(maps(config), texts(3), masks())
    assert logits.shape[1] == 3
    assert logits.isfinite().all()


def test_training_pools_for_the_comparison_of_labels_and_stays_finite():
    made = random_network(open_gates=True).train()
    assert made(maps(), texts(3), masks()).isfinite().all()


def test_with_the_switch_the_untrained_network_is_the_map_of_words():
    config = replace(contract(), cost_skip=True)
    image, text = maps(config), texts(3)
    with torch.no_grad():
        logits = random_network(config)(image, text, masks())
    cost = torch.einsum("behw,te->bthw", torch.nn.functional.normalize(image.features, dim=1), text)
    expected = torch.nn.functional.interpolate(10 * (cost - 0.3), (4 * GRID, 4 * GRID), mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_finer_maps_come_from_two_blocks_of_clip():
    config = contract()
    early, late = torch.randn(2, 2, config.tap_width, GRID, GRID)
    finer, finest = TapMaps(config)(early, late)
    assert finer.shape == (2, config.guidance[0], 2 * GRID, 2 * GRID)
    assert finest.shape == (2, config.guidance[1], 4 * GRID, 4 * GRID)


def test_the_base_has_the_sizes_of_the_published_network():
    made = SamMi(named_config("cat-seg-vit-b"))
    shapes = {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
    assert shapes["aggregator.embed.weight"] == (128, 1, 7, 7)
    assert shapes["aggregator.appearance.0.weight"] == (128, 512, 3, 3)
    assert shapes["aggregator.layers.1.plain.attention.q.weight"] == (128, 256)
    assert shapes["decoder.up1.up.weight"] == (128, 96, 2, 2)
    assert shapes["decoder.up2.mix.0.weight"] == (32, 64, 3, 3)
    assert shapes["decoder.head.weight"] == (1, 32, 3, 3)
    assert shapes["tap_maps.to_finest.weight"] == (768, 128, 4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"hidden": 30, "heads": 4}, "divisible by heads=4", id="heads do not divide the width"),
        pytest.param({"decoder": (24, 16)}, "multiples of 16", id="groups of sixteen"),
        pytest.param({"guidance_hidden": (12, 16)}, "narrower", id="guide wider than what it guides"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused_at_once(change, message):
    with pytest.raises(ValueError, match=message):
        replace(contract(), **change)


def test_an_unknown_configuration_is_refused_with_those_there_are():
    assert {make().name for make in CONFIGURATIONS} == {"tiny", "cat-seg-vit-b", "clip-vit-b-sam-vit-b", "contract"}
    with pytest.raises(ValueError, match="tiny, cat-seg-vit-b, clip-vit-b-sam-vit-b, contract"):
        named_config("enormous")
    assert isinstance(named_config("tiny"), SamMiConfig)
