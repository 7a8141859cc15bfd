"""The last step of SAM's mask decoder: from the cells of its grid to the pixels of its masks (spec section 3.6).

Both of the stock decoder's enlargements are transposed convolutions whose kernel is their stride: no pixel hears of another cell. So each
cell is drawn for itself here, by matrix products on channels-last tokens, and pixels are put into their places once, when only the masks'
logits are left. Numbers are those of ``MaskDecoder.output_upscaling``; on a CPU, the backward pass of its convolutions is slow in bf16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn

from models.devices import in_float32


def draw_masks(decoder: MaskDecoder, cells: Tensor, filters: Tensor, skip8: Tensor | None = None, skip4: Tensor | None = None) -> Tensor:
    """Draw every mask of every prompt set.

    Args:
        decoder: its ``output_upscaling`` holds the weights.
        cells: what the decoder's transformer made of the image, float ``[K, G * G, d]``, row by row.
        filters: what its hypernetworks made of the mask tokens, float ``[K, m, d / 8]``.
        skip8: features to add at half the cell, float ``[K or 1, d / 4, 2G, 2G]``.
        skip4: features to add at a quarter of it, float ``[K or 1, d / 8, 4G, 4G]``.

    Returns:
        logits float32 ``[K, m, 4G, 4G]``.
    """
    to_stride8, norm, activation, to_stride4, last_activation = decoder.output_upscaling
    count, side = len(cells), round(cells.shape[1] ** 0.5)
    # Halves of a cell are [K, row, column, lower?, right?, channel]; quarters have two such pairs.
    halves = _enlarge(to_stride8, cells.view(count, side, side, -1))
    if skip8 is not None:
        halves = halves + skip8.view(*skip8.shape[:2], side, 2, side, 2).permute(0, 2, 4, 3, 5, 1).contiguous()
    with in_float32(halves.device):
        halves = F.layer_norm(halves.float(), norm.weight.shape, norm.weight, norm.bias, norm.eps)
    quarters = _enlarge(to_stride4, activation(halves))
    if skip4 is not None:
        quarters = quarters + skip4.view(*skip4.shape[:2], side, 2, 2, side, 2, 2).permute(0, 2, 5, 3, 6, 4, 7, 1).contiguous()
    pixels = last_activation(quarters)
    with in_float32(pixels.device):
        logits = torch.matmul(filters.float(), pixels.float().flatten(1, -2).transpose(1, 2))
    masks = filters.shape[1]
    placed = logits.view(count, masks, side, side, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
    return placed.reshape(count, masks, 4 * side, 4 * side)


def _enlarge(convolution: nn.ConvTranspose2d, places: Tensor) -> Tensor:
    """float ``[..., c]`` -> ``[..., 2, 2, c']``: what the transposed convolution, kernel and stride 2, draws at each place."""
    weight = convolution.weight.permute(2, 3, 1, 0)
    drawn = F.linear(places, weight.flatten(0, 2), None if convolution.bias is None else convolution.bias.repeat(4))
    return drawn.view(*places.shape[:-1], *weight.shape[:3])
