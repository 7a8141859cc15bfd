"""The weights of ``nn.MultiheadAttention``, used without its forward, give what its forward gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.attention import attend, multi_head_attention

GENERATOR = torch.Generator().manual_seed(0)
QUERY, KEY, VALUE = (torch.randn(2, length, 24, generator=GENERATOR) for length in (5, 7, 7))
PADDING = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])


@pytest.fixture(scope="module")
def attention() -> nn.MultiheadAttention:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(24, 4, dropout=0.5, batch_first=True).eval()
    nn.init.normal_(attention.in_proj_bias)
    return attention


@pytest.mark.parametrize("padding", [None, PADDING], ids=["all keys", "padding"])
def test_three_inputs_give_what_torch_gives(attention, padding):
    ours = multi_head_attention(attention, QUERY, KEY, VALUE, key_padding_mask=padding)
    theirs, _ = attention(QUERY, KEY, VALUE, key_padding_mask=padding)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("padding", [None, PADDING], ids=["all keys", "padding"])
def test_self_attention_without_the_future_gives_what_torch_gives(attention, padding):
    ours = multi_head_attention(attention, KEY, KEY, KEY, key_padding_mask=padding, causal=True)
    future = torch.ones(7, 7, dtype=torch.bool).triu(1)
    theirs, _ = attention(KEY, KEY, KEY, attn_mask=future, key_padding_mask=padding)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_dropout_acts_in_training_only(attention):
    assert torch.equal(*(multi_head_attention(attention, QUERY, KEY, VALUE) for _ in range(2)))
    attention.train()
    try:
        assert not torch.equal(*(multi_head_attention(attention, QUERY, KEY, VALUE) for _ in range(2)))
    finally:
        attention.eval()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_the_fused_kernel_gives_what_the_written_out_form_gives():
    query, key, value = (torch.randn(2, 4, length, 16, generator=GENERATOR) for length in (5, 7, 7))
    bias = torch.zeros(2, 1, 1, 7).masked_fill(PADDING[:, None, None], float("-inf"))
    fused = attend(query.cuda(), key.cuda(), value.cuda(), bias=bias.cuda()).cpu()
    torch.testing.assert_close(fused, attend(query, key, value, bias=bias), atol=1e-4, rtol=0)
