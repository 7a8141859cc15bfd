"""SAM's image encoder on the stock weights, with an attention that never holds the whole attention map (spec section 3.6).

The stock forward writes ``heads x 4096 x 4096`` numbers per global block and image, and goes over them four times. Here the positional
part is made for a few queries at a time, small enough to stay in the processor's cache, and handed to PyTorch's fused attention. Names of
weights, and results up to rounding, are the stock ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.image_encoder import window_partition, window_unpartition
from torch import Tensor, nn

from models.attention import attend

ROWS_AT_ONCE = 256
"""Queries per step; with fewer, the fused kernel on the CPU reads the keys too often."""
CPU_STEP_BYTES = 4 * 2**20
"""Positional part per step and thread on the CPU: twice as much is a third slower, as it falls out of the cache."""
DEVICE_STEP_BYTES = 2**30
"""The same on other devices, where only the memory counts."""


class ImageEncoder(ImageEncoderViT):  # type: ignore[misc]  # published without types
    """SAM's image encoder; takes the arguments and has the weights of the stock class."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        norms_in_float32(self.neck)
        self._run_block: Callable[[Any, Tensor], Tensor] = _run_block

    def compile_blocks(self) -> None:
        """Run the blocks through ``torch.compile``; alike as they are, they share what is compiled. The next image pays for it."""
        self._run_block = torch.compile(_run_block, dynamic=True)  # batches come in every size

    def forward(self, image: Tensor) -> Tensor:
        """float ``[B, 3, S, S]`` -> float ``[B, d, G, G]``."""
        return self.encode_patches(self.patch_embed(image))

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Embedded patches float ``[B, G, G, C]`` -> float ``[B, d, G, G]``."""
        # The stem gives maps of channels, seen from the side; left so, every sum and norm of every block would stride through memory.
        tokens = (patches + self.pos_embed).contiguous()
        for block in self.blocks:
            tokens = self._run_block(block, tokens)
        embedding: Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return embedding.contiguous()  # as it comes back from a cache: sums in another order would end in another last bit


class Norm2d(LayerNorm2d):  # type: ignore[misc]  # published without types
    """SAM's norm over the channels of a map; a sum of squares, so in float32 also under autocast."""

    def forward(self, features: Tensor) -> Tensor:
        """``[B, C, H, W]`` -> float32 ``[B, C, H, W]``."""
        normed: Tensor = super().forward(features.float())
        return normed


def norms_in_float32(layers: nn.Sequential) -> None:
    """Replace the stock norms among freshly built layers."""
    for place, layer in enumerate(layers):
        if isinstance(layer, LayerNorm2d):
            layers[place] = Norm2d(len(layer.weight), layer.eps)


def _run_block(block: Any, tokens: Tensor) -> Tensor:
    """One of the stock blocks, ``[B, G, G, C]`` -> ``[B, G, G, C]``."""
    window, grid_hw = block.window_size, tokens.shape[1:3]
    attended = block.norm1(tokens)
    if window > 0:
        attended, padded_hw = window_partition(attended, window)
    attended = _attention(block.attn, attended)
    if window > 0:
        attended = window_unpartition(attended, window, padded_hw, grid_hw)
    # After the padding is gone, unlike the stock order: padding need not be projected.
    tokens = tokens + block.attn.proj(attended)
    answer: Tensor = tokens + block.mlp(block.norm2(tokens))
    return answer


def _attention(attention: Any, tokens: Tensor) -> Tensor:
    """The stock attention without its output projection, ``[N, h, w, C]`` -> ``[N, h, w, C]``; N images or windows."""
    count, height, width, channels = tokens.shape
    parts = attention.qkv(tokens.flatten(1, 2)).unflatten(-1, (3, attention.num_heads, -1))
    query, key, value = parts.transpose(1, 3).unbind(2)  # [N, heads, h * w, c] each
    if attention.use_rel_pos:
        rows, columns = _positions(query, attention, (height, width))
        mixed = _attend_uncompiled(query, key, value, rows, columns)
    else:
        mixed = attend(query, key, value)
    return mixed.transpose(1, 2).reshape(count, height, width, channels)


def attend_with_positions(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention whose logits carry a part for the key's row and one for its column.

    Args:
        query: ``[N, heads, L, c]``.
        key: ``[N, heads, h * w, c]``.
        value: ``[N, heads, h * w, c]``.
        rows: ``[N, heads, L, h]``, added to the logits of all keys in a row of the grid.
        columns: ``[N, heads, L, w]``, the same for columns.

    Returns:
        ``[N, heads, L, c]``.
    """
    answer = torch.empty_like(value, memory_format=torch.contiguous_format)
    for step in _steps(query, keys=key.shape[2]):
        images, heads, _ = step
        bias = (rows[step].unsqueeze(-1) + columns[step].unsqueeze(-2)).flatten(-2)
        answer[step] = F.scaled_dot_product_attention(query[step], key[images, heads], value[images, heads], attn_mask=bias)
    return answer


_attend_uncompiled: Callable[..., Tensor] = torch.compiler.disable(attend_with_positions)  # type: ignore[no-untyped-call]
"""Compiled, its loop would be unrolled for every size; what it calls is fused already."""


def _steps(query: Tensor, keys: int) -> Iterator[tuple[slice, slice, slice]]:
    """Slices of images, heads and queries that cover ``[N, heads, L, keys]``, each within the bytes for one step."""
    count, heads, queries, _ = query.shape
    budget = CPU_STEP_BYTES * torch.get_num_threads() if query.device.type == "cpu" else DEVICE_STEP_BYTES
    bytes_per_row = keys * query.element_size()
    rows = queries if queries * bytes_per_row <= budget else min(queries, ROWS_AT_ONCE)
    maps = max(1, budget // (rows * bytes_per_row))
    heads_at_once, images_at_once = min(heads, maps), max(1, maps // heads)
    for image in range(0, count, images_at_once):
        for head in range(0, heads, heads_at_once):
            for row in range(0, queries, rows):
                yield slice(image, image + images_at_once), slice(head, head + heads_at_once), slice(row, row + rows)


def _positions(query: Tensor, attention: Any, grid_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What each query ``[N, heads, h * w, c]`` adds for the key's row ``[N, heads, h * w, h]`` and column ``[N, heads, h * w, w]``."""
    on_grid = query.reshape(*query.shape[:2], *grid_hw, -1)
    by_row = _distances(attention.rel_pos_h, grid_hw[0]).to(query.dtype)
    by_column = _distances(attention.rel_pos_w, grid_hw[1]).to(query.dtype)
    rows = torch.einsum("nzhwc,hkc->nzhwk", on_grid, by_row)
    columns = torch.einsum("nzhwc,wkc->nzhwk", on_grid, by_column)
    return rows.flatten(2, 3), columns.flatten(2, 3)


def _distances(table: Tensor, side: int) -> Tensor:
    """Learned codes of the distances -(side - 1) .. side - 1, ``[2 * side - 1, c]`` -> ``[side, side, c]`` by query and key."""
    places = torch.arange(side, device=table.device)
    return table[places[:, None] - places[None, :] + side - 1]
