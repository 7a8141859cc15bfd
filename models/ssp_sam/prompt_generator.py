"""Prompt tokens read the fused patches and become SAM's sparse prompts (spec sections 4.4 and 4.5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import multi_head_attention
from models.ssp_sam.adapters import Mlp
from models.ssp_sam.config import SspSamConfig


class GeneratorOutput(NamedTuple):
    """float32 or autocast type, K phrases."""

    box_token: Tensor
    """``[K, d]``."""
    prompts: Tensor
    """``[K, Q, d]``."""
    patches: Tensor
    """``[K, N, d]``."""
    earlier_patches: tuple[Tensor, ...] = ()
    """The patches as each layer but the last left them, each ``[K, N, d]``; kept while training only, for losses on the way."""


class PostNormLayer(nn.Module):
    """DETR's encoder layer: positions join queries and keys, never values; the norms come after the sums."""

    def __init__(self, width: int, heads: int, ffn: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=0.0, batch_first=True)
        self.linear1 = nn.Linear(width, ffn)
        self.linear2 = nn.Linear(ffn, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """``[K, L, d]`` and ``[L, d]`` -> ``[K, L, d]``."""
        placed = tokens + positions
        tokens = self.norm1(tokens + multi_head_attention(self.self_attn, placed, placed, tokens))
        answer: Tensor = self.norm2(tokens + self.linear2(F.relu(self.linear1(tokens))))
        return answer


class PromptGenerator(nn.Module):
    """[box token; Q prompt tokens; N patches] through a small transformer."""

    def __init__(self, config: SspSamConfig) -> None:
        super().__init__()
        head, width = config.head, config.sam.out_channels
        self.prompts = head.prompts
        self.patches = config.clip.grid**2
        words = config.clip.context_length if head.word_tokens else 0
        self.mix = nn.Linear(head.mixing_width, width)
        self.word_mix = nn.Linear(head.mixing_width, width) if head.word_tokens else None
        self.position_mix = nn.Linear(width, width) if head.patch_positions else None
        self.shape_mix = nn.Linear(width, width, bias=False) if head.patch_shapes else None
        self.direction = nn.Linear(head.mixing_width, width) if head.directed_positions else None
        self.box_token = nn.Embedding(1, width)
        self.prompt_tokens = nn.Embedding(head.prompts, width)
        self.positions = nn.Embedding(1 + head.prompts + self.patches + words, width)
        self.layers = nn.ModuleList(PostNormLayer(width, head.generator_heads, head.generator_ffn) for _ in range(head.generator_layers))
        self.norm = nn.LayerNorm(width)
        for parameter in self.layers.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        if self.shape_mix is not None:
            nn.init.zeros_(self.shape_mix.weight)

    def forward(self, fused: Tensor, phrase: Tensor, words: Tensor, patch_positions: Tensor, sam_patches: Tensor) -> GeneratorOutput:
        """Generate prompts.

        Args:
            fused: patches float ``[K, N, D]`` of the visual adapter.
            phrase: float ``[K, D]`` of the linguistic adapter.
            words: projected words float ``[K, T, D]``; read only with the switch ``word_tokens``.
            patch_positions: SAM's code of every cell, float ``[N, d]``; read only with the switch ``patch_positions``.
            sam_patches: SAM's embedding of every cell, float ``[K, N, d]``; read only with the switch ``patch_shapes``.
        """
        patches = self.mix(torch.tanh(fused) * torch.tanh(phrase).unsqueeze(1))
        if self.position_mix is not None:
            where = self.position_mix(patch_positions)
            if self.shape_mix is not None:
                where = where + self.shape_mix(sam_patches)
            if self.direction is not None:
                where = where * (1 + self.direction(phrase)).unsqueeze(1)
            patches = patches + where
        learned = torch.cat([self.box_token.weight, self.prompt_tokens.weight]).expand(len(patches), -1, -1)
        sequence = [learned.to(patches.dtype), patches]
        if self.word_mix is not None:
            sequence.append(self.word_mix(words))
        tokens = torch.cat(sequence, dim=1)
        first_patch = 1 + self.prompts
        patch_tokens = slice(first_patch, first_patch + self.patches)
        *earlier_layers, last_layer = self.layers
        earlier_patches = []
        for layer in earlier_layers:
            tokens = layer(tokens, self.positions.weight)
            if self.training:
                earlier_patches.append(self.norm(tokens[:, patch_tokens]))
        tokens = self.norm(last_layer(tokens, self.positions.weight))
        return GeneratorOutput(tokens[:, 0], tokens[:, 1:first_patch], tokens[:, patch_tokens], tuple(earlier_patches))


class BoxHead(Mlp):
    """The auxiliary box of the whole target (spec 4.5): ``[K, d]`` -> cx, cy, w, h in 0..1 of the CLIP canvas, ``[K, 4]``."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, width, 4)

    def forward(self, box_token: Tensor) -> Tensor:
        return super().forward(box_token).float().sigmoid()
