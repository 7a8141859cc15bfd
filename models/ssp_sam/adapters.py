"""The two adapters between CLIP and the prompt generator: which patches matter (spec 4.1, 4.3) and which words (4.2)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import multi_head_attention
from models.devices import in_float32
from models.ssp_sam.config import ClipConfig, HeadConfig

GAUSSIAN_POWER = 2.0
"""Exponent of the verification score's distance; a constant of the published models."""


class Mlp(nn.Module):
    """Linear layers with ReLU between; ``layers`` is the published name of the list."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        answer: Tensor = last(x)
        return answer


class LinguisticAdapter(nn.Module):
    """Weights the words of a phrase and sums them (spec 4.2)."""

    def __init__(self, clip: ClipConfig, head: HeadConfig) -> None:
        super().__init__()
        self.word_projection = nn.Linear(clip.text_width, head.mixing_width)
        self.gru = nn.GRU(head.mixing_width, head.gru_hidden, batch_first=True, bidirectional=True)
        self.word_score = nn.Linear(2 * head.gru_hidden, 1)

    def forward(self, words: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """Project and summarise.

        Args:
            words: float ``[K, T, Wt]`` of CLIP, padding included: the backward GRU reads it first, so T must not be shortened.
            padding: bool ``[K, T]``, true on padding, which gets no weight.

        Returns:
            projected words float ``[K, T, D]`` and the phrase float ``[K, D]``.
        """
        projected = self.word_projection(words)
        with in_float32(projected.device):  # a recurrence carries every rounding on to the next word
            states, _ = self.gru(projected.float())
            weights = self.word_score(states).squeeze(-1).masked_fill(padding, float("-inf")).softmax(dim=-1)
        phrase = (weights.unsqueeze(-1) * projected).sum(dim=1)
        return projected, phrase


class VisualAdapter(nn.Module):
    """Weights the patches by the sentence, then by every word ("verification"; spec 4.1 and 4.3)."""

    def __init__(self, clip: ClipConfig, head: HeadConfig) -> None:
        super().__init__()
        width = head.mixing_width
        self.patch_norm = head.patch_norm
        self.patch_mlp = Mlp(clip.embed_dim, width, width, width)
        self.patch_layer_norm = nn.LayerNorm(width)
        self.word_attention = nn.MultiheadAttention(width, head.mixing_heads, dropout=head.verification_dropout, batch_first=True)
        self.word_key = Mlp(width, width)
        self.patch_query = Mlp(width, width)
        self.gaussian_scale = nn.Parameter(torch.tensor([1.0]))
        self.gaussian_sigma = nn.Parameter(torch.tensor([0.5]))

    def forward(self, image_tokens: Tensor, sentence: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        """Fuse.

        Args:
            image_tokens: float ``[K, 1 + N, E]`` of CLIP, class token first.
            sentence: float ``[K, E]`` of CLIP.
            words: float ``[K, T, D]``, projected.
            padding: bool ``[K, T]``.

        Returns:
            fused patches float ``[K, N, D]``.
        """
        patches = self.normalise(image_tokens)
        similarity = sentence_similarity(patches, sentence)
        features = self.patch_mlp(patches * similarity.unsqueeze(-1))
        heard = multi_head_attention(self.word_attention, features, words, words, key_padding_mask=padding)
        verified = self.verification(self.patch_query(features), self.word_key(heard))
        fused: Tensor = self.patch_layer_norm(features) * verified.unsqueeze(-1)
        return fused

    def normalise(self, image_tokens: Tensor) -> Tensor:
        """float ``[K, 1 + N, E]`` -> patches ``[K, N, E]`` of length 1 along the configured axis.

        The published models divide by the norm over *tokens*, class token included, not over channels.
        """
        dim = 1 if self.patch_norm == "tokens" else 2
        return F.normalize(image_tokens.float(), dim=dim)[:, 1:]

    def verification(self, query: Tensor, key: Tensor) -> Tensor:
        """Gaussian of the cosine distance, float ``[K, N, D]`` twice -> ``[K, N]``; in float32 under autocast."""
        cosine = (F.normalize(query.float(), dim=-1, eps=1e-12) * F.normalize(key.float(), dim=-1, eps=1e-12)).sum(dim=-1)
        distance = (1 - cosine) ** GAUSSIAN_POWER
        return self.gaussian_scale * torch.exp(-distance / (2 * self.gaussian_sigma**2))


def sentence_similarity(patches: Tensor, sentence: Tensor) -> Tensor:
    """How well each patch fits the sentence, stretched to 0..1 within each image (spec 4.1).

    Args:
        patches: float ``[K, N, E]``, normalised.
        sentence: float ``[K, E]``.

    Returns:
        float ``[K, N]``; a constant map gives zeros.
    """
    with in_float32(patches.device):
        raw = torch.einsum("kne,ke->kn", patches.float(), F.normalize(sentence.float(), dim=-1))
    lowest, highest = raw.aminmax(dim=-1, keepdim=True)
    spread = highest - lowest
    return (raw - lowest) / torch.where(spread > 0, spread, 1.0)
