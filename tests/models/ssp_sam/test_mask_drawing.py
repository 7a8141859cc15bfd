"""Masks drawn cell by cell are those of the stock decoder's own layers."""

from collections.abc import Callable

import pytest
import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from torch import Tensor

from models.ssp_sam.mask_drawing import draw_masks

SIDE, WIDTH, COUNT, MASKS = 5, 32, 3, 2


def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    transformer = TwoWayTransformer(depth=1, embedding_dim=WIDTH, mlp_dim=16, num_heads=2)
    made = MaskDecoder(transformer_dim=WIDTH, transformer=transformer)
    with torch.no_grad():
        for parameter in made.parameters():  # norms begin as ones and zeros, which hides a mistake in them
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return made


def inputs(features: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cells, filters and the skips of so many images."""
    torch.manual_seed(1)
    cells, filters = torch.randn(COUNT, SIDE * SIDE, WIDTH), torch.randn(COUNT, MASKS, WIDTH // 8)
    return cells, filters, torch.randn(features, WIDTH // 4, 2 * SIDE, 2 * SIDE), torch.randn(features, WIDTH // 8, 4 * SIDE, 4 * SIDE)


def drawn_by_the_stock_layers(made: MaskDecoder, cells: Tensor, filters: Tensor, skip8: Tensor, skip4: Tensor) -> Tensor:
    first, norm, activation, second, last = made.output_upscaling
    embedding = cells.transpose(1, 2).unflatten(2, (SIDE, SIDE))
    upscaled = last(second(activation(norm(first(embedding) + skip8))) + skip4)
    return torch.einsum("kmc,kchw->kmhw", filters, upscaled)


def with_gradients(draw: Callable[..., Tensor], made: MaskDecoder, given: tuple[Tensor, ...]) -> list[Tensor]:
    """The masks, and what flows back to each input and weight."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    masks = draw(made, *leaves)
    return [masks, *torch.autograd.grad(masks.sin().sum(), [*leaves, *made.output_upscaling.parameters()])]


@pytest.mark.parametrize("features", [COUNT, 1])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_masks_and_gradients_are_those_of_the_stock_layers(features: int, layout: torch.memory_format):
    made, given = decoder(), inputs(features)
    given = (*given[:2], *(skip.to(memory_format=layout) for skip in given[2:]))
    found, expected = (with_gradients(draw, made, given) for draw in (draw_masks, drawn_by_the_stock_layers))
    for ours, stock in zip(found, expected, strict=True):
        assert torch.allclose(ours, stock, rtol=1e-4, atol=1e-4)


def test_without_finer_features_nothing_is_added():
    made, (cells, filters, skip8, skip4) = decoder(), inputs(1)
    found = draw_masks(made, cells, filters)
    assert found.shape == (COUNT, MASKS, 4 * SIDE, 4 * SIDE)
    assert torch.allclose(found, drawn_by_the_stock_layers(made, cells, filters, skip8 * 0, skip4 * 0), rtol=1e-4, atol=1e-4)


def test_under_autocast_logits_are_float32_and_close():
    made, given = decoder(), inputs(COUNT)
    with torch.inference_mode():
        expected = draw_masks(made, *given)
        with torch.autocast("cpu", torch.bfloat16):
            found = draw_masks(made, *given)
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 0.03 * float(expected.abs().max())
