"""Our use of SAM's parts gives what the stock package gives."""

from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import Sam

from models.ssp_sam.config import SspSamConfig, contract
from models.ssp_sam.sam_masks import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    NOT_A_POINT,
    POINT_NEGATIVE,
    POINT_POSITIVE,
    SamFeatures,
    build_sam,
    decode_masks,
    embed_prompts,
    positional_code,
)
from tests.models.ssp_sam.networks import perturbed


@pytest.fixture(scope="module")
def sam() -> Sam:
    return perturbed().sam


@pytest.fixture(scope="module")
def embedding() -> torch.Tensor:
    config = contract().sam
    return torch.randn(1, config.out_channels, config.grid, config.grid, generator=torch.Generator().manual_seed(3))


POINTS = torch.tensor([[[3.0, 7.5], [100.0, 64.0], [0.0, 127.0]], [[50.0, 50.0], [51.0, 49.0], [12.0, 1.0]]])
LABELS = torch.tensor([[POINT_POSITIVE, POINT_NEGATIVE, POINT_POSITIVE], [POINT_NEGATIVE, POINT_POSITIVE, POINT_POSITIVE]])
BOXES = torch.tensor([[1.0, 2.0, 90.0, 127.0], [30.5, 40.0, 31.0, 77.0]])
CORNERS = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 2)
NO_POINT = torch.full((2, 1), NOT_A_POINT)

PROMPTS = [
    pytest.param((POINTS, LABELS), None, torch.cat([POINTS, torch.zeros(2, 1, 2)], 1), torch.cat([LABELS, NO_POINT], 1), id="points"),
    pytest.param(None, BOXES, BOXES.reshape(2, 2, 2), CORNERS, id="boxes"),
    pytest.param(
        (POINTS, LABELS), BOXES, torch.cat([POINTS, BOXES.reshape(2, 2, 2)], 1), torch.cat([LABELS, CORNERS], 1), id="points and box"
    ),
]


@pytest.mark.parametrize(("points", "boxes", "coordinates", "labels"), PROMPTS)
@torch.inference_mode()
def test_prompts_are_embedded_as_the_stock_encoder_does(sam, embedding, points, boxes, coordinates, labels):
    stock, _ = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
    assert torch.equal(embed_prompts(sam, SamFeatures(embedding).repeat(2), coordinates, labels), stock)


@pytest.mark.parametrize(("points", "boxes", "coordinates", "labels"), PROMPTS)
@torch.inference_mode()
def test_masks_are_those_of_the_stock_decoder(sam, embedding, points, boxes, coordinates, labels):
    sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
    stock_masks, stock_iou = sam.mask_decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    features = SamFeatures(embedding).repeat(2)
    logits, iou = decode_masks(sam, features, embed_prompts(sam, features, coordinates, labels))
    torch.testing.assert_close(logits, stock_masks[:, 0], atol=1e-6 * float(stock_masks.abs().max()), rtol=0)
    torch.testing.assert_close(iou, stock_iou[:, 0], atol=1e-6, rtol=1e-6)


@torch.inference_mode()
def test_prompts_of_different_images_decode_together(sam):
    embeddings = torch.randn(2, 32, 8, 8, generator=torch.Generator().manual_seed(5))
    prompts = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(6))
    together, _ = decode_masks(sam, SamFeatures(embeddings), prompts)
    apart = [decode_masks(sam, SamFeatures(embeddings[i : i + 1]), prompts[i : i + 1])[0] for i in range(2)]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=0)


def test_the_positional_code_lists_cells_row_by_row(sam):
    dense = sam.prompt_encoder.get_dense_pe()
    assert torch.equal(positional_code(sam)[1 * contract().sam.grid + 2], dense[0, :, 1, 2])


def test_the_default_sizes_are_those_of_the_stock_vit_h():
    with torch.device("meta"):
        ours = build_sam(SspSamConfig(name="vit-h", clip=contract().clip).sam)
        from segment_anything import build_sam_vit_h

        stock = build_sam_vit_h()
    assert {name: t.shape for name, t in ours.state_dict().items()} == {name: t.shape for name, t in stock.state_dict().items()}
    assert [block.window_size for block in ours.image_encoder.blocks] == [block.window_size for block in stock.image_encoder.blocks]
    assert {m.eps for m in ours.image_encoder.modules() if isinstance(m, torch.nn.LayerNorm)} == {1e-6}
