"""Multi-head attention on the parameters of ``nn.MultiheadAttention``.

The modules of CLIP, of the published SSP-SAM head and of its prompt generator keep their weights in ``nn.MultiheadAttention``, whose own
forward cannot run value-value attention (CLIP surgery) and is slow to train on a CPU. These functions use the weights directly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(query: Tensor, key: Tensor, value: Tensor, *, bias: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """Scaled dot-product attention, ``[B, heads, L, c]`` each; ``bias`` is added to the logits and broadcasts to ``[B, heads, Lq, Lk]``."""
    if query.device.type != "cpu" or not torch.is_grad_enabled():
        mask = None if bias is None else bias.to(query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    # Written out for training on the CPU: the fused kernel's backward is about 1.5 times slower there for a few hundred tokens.
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if bias is not None:
        logits = logits + bias.to(logits.dtype)
    return F.dropout(logits.softmax(dim=-1), dropout) @ value


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """``[B, L, C]`` -> ``[B, heads, L, C / heads]``."""
    return tokens.reshape(*tokens.shape[:-1], heads, -1).transpose(1, 2)


def merge_heads(tokens: Tensor) -> Tensor:
    """``[B, heads, L, c]`` -> ``[B, L, heads * c]``."""
    return tokens.transpose(1, 2).flatten(2)


def project_qkv(attention: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Apply the input projections; ``[B, L, C]`` -> ``[B, heads, L, c]`` each. One product where all three inputs are the same tensor."""
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    if query is key and key is value:
        parts = F.linear(query, weight, bias).chunk(3, dim=-1)
    else:
        parts = tuple(F.linear(tokens, w, b) for tokens, w, b in zip((query, key, value), weight.chunk(3), bias.chunk(3), strict=True))
    q, k, v = (split_heads(part, attention.num_heads) for part in parts)
    return q, k, v


def multi_head_attention(
    attention: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    key_padding_mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """What ``attention(query, key, value)`` returns, batch first, ``[B, Lq, C]``.

    Args:
        attention: the module that holds the weights (and the dropout rate).
        query: ``[B, Lq, C]``.
        key: ``[B, Lk, C]``.
        value: ``[B, Lk, C]``.
        key_padding_mask: bool ``[B, Lk]``, true where a key must get no weight.
        causal: true to hide later positions.
    """
    q, k, v = project_qkv(attention, query, key, value)
    bias = None
    if key_padding_mask is not None:
        bias = torch.zeros(key_padding_mask.shape, dtype=q.dtype, device=q.device)
        bias = bias.masked_fill(key_padding_mask, float("-inf"))[:, None, None, :]
    if causal:
        later = torch.full((q.shape[2], k.shape[2]), float("-inf"), dtype=q.dtype, device=q.device).triu(1)
        bias = later if bias is None else bias + later
    dropout = attention.dropout if attention.training else 0.0
    answer: Tensor = attention.out_proj(merge_heads(attend(q, k, v, bias=bias, dropout=dropout)))
    return answer
