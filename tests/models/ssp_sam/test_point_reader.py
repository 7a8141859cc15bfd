"""Prompts read the cells that they lie on, and nothing changes until they have learned to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.ssp_sam.config import SamConfig, tiny
from models.ssp_sam.point_reader import PointReader
from models.ssp_sam.sam_masks import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    NOT_A_POINT,
    POINT_POSITIVE,
    SamFeatures,
    build_sam,
    cell_prompts,
    embed_prompts,
    positional_code,
)

SIDE = 64
COORDINATES = torch.tensor([[[0.0, 0.0], [63.9, 5.0]], [[64.0, 80.0], [-3.0, 31.0]]])
LABELS = torch.tensor([[POINT_POSITIVE, NOT_A_POINT], [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features(images: int) -> SamFeatures:
    return SamFeatures(drawn(images, 128, 16, 16, seed=1), drawn(images, 32, 32, 32, seed=2), drawn(images, 16, 64, 64, seed=3))


def trained_reader() -> PointReader:
    reader = PointReader(128)
    with torch.no_grad():
        reader.out.weight.copy_(drawn(128, 128))
    return reader


@torch.inference_mode()
def test_a_point_reads_the_cells_under_it_and_no_others():
    reader, whole = trained_reader(), features(2)
    read = reader(whole, COORDINATES, SIDE)
    # The cell of each point at strides 16, 8 and 4, by hand; what lies outside belongs to the nearest one.
    cells = {(0, 0): [(0, 0), (0, 0), (0, 0)], (0, 1): [(15, 1), (31, 2), (63, 5)], (1, 0): [(15, 15), (31, 31), (63, 63)]}
    for (image, point), places in cells.items():
        levels = zip(whole, places, strict=True)
        alone = torch.cat([level[image, :, y, x] for level, (x, y) in levels])
        expected = reader.out(reader.activation(reader.hidden(reader.norm(alone))))
        torch.testing.assert_close(read[image, point], expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_cell_that_is_the_same_all_over_reads_what_a_click_on_it_reads():
    reader = trained_reader()
    coarse = drawn(2, 176, 16, 16, seed=4)
    whole = SamFeatures(
        *(part.repeat_interleave(n, 2).repeat_interleave(n, 3) for part, n in zip(coarse.split([128, 32, 16], 1), (1, 2, 4), strict=True))
    )
    middles = torch.tensor([[[5 * 4 + 2.0, 9 * 4 + 2.0]]] * 2)
    cells = reader.cells(whole)
    assert cells.shape == (2, 256, 128)
    torch.testing.assert_close(cells[:, 9 * 16 + 5], reader(whole, middles, SIDE)[:, 0], atol=1e-5, rtol=1e-5)
    one = SamFeatures(*(level[:1] for level in whole))
    torch.testing.assert_close(reader.cells(one.repeat(3)), cells[:1].expand(3, -1, -1), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_prompts_of_phrases_say_what_a_click_says():
    torch.manual_seed(0)
    reading = build_sam(tiny().sam)
    images = features(2)
    assert torch.equal(cell_prompts(reading, images), positional_code(reading).expand(2, -1, -1))
    reading.prompt_encoder.point_reader = trained_reader()
    expected = positional_code(reading) + reading.prompt_encoder.point_reader.cells(images)
    assert torch.equal(cell_prompts(reading, images), expected)
    stock = build_sam(replace(tiny().sam, point_features=False))
    assert torch.equal(cell_prompts(stock, images), positional_code(stock))


@torch.inference_mode()
def test_one_image_stands_for_all_its_prompts():
    reader, one = trained_reader(), features(1)
    repeated = SamFeatures(*(level.repeat(2, 1, 1, 1) for level in one))
    assert torch.equal(reader(one.repeat(2), COORDINATES, SIDE), reader(repeated, COORDINATES, SIDE))


@torch.inference_mode()
def test_a_new_reader_changes_nothing_and_a_trained_one_leaves_padding_alone():
    torch.manual_seed(0)
    reading = build_sam(tiny().sam)
    stock = build_sam(replace(tiny().sam, point_features=False))
    stock.load_state_dict(reading.state_dict(), strict=False)
    images = features(2)
    expected = embed_prompts(stock, images, COORDINATES, LABELS)
    assert torch.equal(embed_prompts(reading, images, COORDINATES, LABELS), expected)
    reading.prompt_encoder.point_reader = trained_reader()
    changed = (embed_prompts(reading, images, COORDINATES, LABELS) != expected).any(dim=-1)
    assert changed.tolist() == [[True, False], [True, True]]


def test_without_skips_there_is_nothing_to_read():
    with pytest.raises(ValueError, match="high_resolution_skips=True"):
        SamConfig(point_features=True)
    with pytest.raises(ValueError, match="no skips"):
        PointReader(128)(SamFeatures(drawn(1, 128, 16, 16)), COORDINATES[:1], SIDE)
