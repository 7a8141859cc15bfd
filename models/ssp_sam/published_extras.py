"""Modules that every published checkpoint holds and no forward ever calls (spec section 3.2, "unused").

They are kept so that a published file loads strictly and leaves bit for bit as it came.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

HALF_RANGE = 14
"""The position table reaches from -14 to 14 at every size of the network."""


class PublishedExtras(nn.Module):
    """An attention over patches with relative positions and a norm, both unused."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.img2img_attn = nn.MultiheadAttention(width, num_heads=1, batch_first=True)
        nn.init.xavier_uniform_(self.img2img_attn.in_proj_weight)
        self.img2img_attn.register_buffer("pos_x", relative_position_table(width // 2))
        self.img2img_attn.register_buffer("pos_y", relative_position_table(width // 2))
        self.norm_text_cond_img = nn.LayerNorm(width)


def relative_position_table(channels: int) -> Tensor:
    """Sine and cosine code of the positions -14..14, float ``[29, channels]``."""
    positions = torch.arange(-HALF_RANGE, HALF_RANGE + 1, dtype=torch.float32) / (HALF_RANGE + 1e-6) * 2 * math.pi
    pair = torch.arange(channels, dtype=torch.float32).div(2, rounding_mode="floor")
    angles = positions[:, None] / 10000 ** (2 * pair / channels)
    return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)
