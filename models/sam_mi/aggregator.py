"""Cost aggregation: every label's map is smoothed over space, then the labels compare themselves at every cell (spec 5.4, 5.5).

After CAT-Seg, whose sizes and order of operations are kept so that its weights fit. Cells stand before channels here:
``[B, T, g, g, D]`` for B images and T labels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import attend
from models.sam_mi.config import SamMiConfig

MLP_RATIO = 4
LABELS_AT_ONCE = 32
"""Outside of training, so many labels (or rows of cells) are worked on together: bounds the memory of long lists."""
_ELSEWHERE = -100.0
"""Added to the logits between cells that a shift has brought into one window from opposite borders."""


class GuidedAttention(nn.Module):
    """Projections whose queries and keys also see a guide; values come from the tokens alone."""

    def __init__(self, width: int, guide: int) -> None:
        super().__init__()
        self.q = nn.Linear(width + guide, width)
        self.k = nn.Linear(width + guide, width)
        self.v = nn.Linear(width, width)

    def project(self, tokens: Tensor, guide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens ``[..., D]`` and guide ``[..., G]``, whose leading sizes may be 1 where all tokens share it -> q, k, v ``[..., D]``."""
        query, key = (_join(layer, tokens, guide) for layer in (self.q, self.k))
        return query, key, self.v(tokens)


class WindowBlock(nn.Module):
    """A Swin block: attention within windows, then a small MLP.

    Args:
        width: D.
        guide: channels of the guide.
        heads: of the attention.
        window: side of a window in cells.
        shifted: windows begin half a window later, so that neighbours of the other block's borders meet.
    """

    def __init__(self, width: int, guide: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shifted = heads, window, shifted
        self.norm1 = nn.LayerNorm(width)
        self.attention = GuidedAttention(width, guide)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width))

    def forward(self, tokens: Tensor, guide: Tensor) -> Tensor:
        """``[B, T, g, g, D]`` and ``[B, 1, g, g, G]`` -> ``[B, T, g, g, D]``."""
        side = tokens.shape[2]
        window = _largest_window(side, self.window)
        shift = window // 2 if self.shifted and window < side else 0
        query, key, value = (
            self._heads(_to_windows(part.roll((-shift, -shift), (2, 3)), window))
            for part in self.attention.project(self.norm1(tokens), guide)
        )
        bias = None
        if shift:
            bias = _shift_bias(side, window, shift, tokens).repeat(len(query) // (side // window) ** 2, 1, 1, 1)
        attended = attend(query, key, value, bias=bias).transpose(-3, -2).flatten(-2)
        tokens = tokens + _from_windows(self.proj(attended), tokens.shape, window).roll((shift, shift), (2, 3))
        answer: Tensor = tokens + self.mlp(self.norm2(tokens))
        return answer

    def _heads(self, windows: Tensor) -> Tensor:
        """``[N, windows, L, D]`` -> ``[N * windows, heads, L, c]``: four axes, as PyTorch's fast attention wants them."""
        together = windows.flatten(0, 1)
        return together.reshape(*together.shape[:-1], self.heads, -1).transpose(-3, -2)


class LabelBlock(nn.Module):
    """Linear attention over the labels at every cell, guided by their text; cost grows with the number of labels, not its square."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        width = config.hidden
        self.heads, self.pool = config.heads, config.pool
        self.most_labels = config.most_labels
        self.norm1 = nn.LayerNorm(width)
        self.attention = GuidedAttention(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, MLP_RATIO * width), nn.ReLU(), nn.Linear(MLP_RATIO * width, width))
        self.padding = nn.Parameter(torch.zeros(width)) if config.padded else None
        self.padding_guide = nn.Parameter(torch.zeros(width)) if config.padded else None

    def forward(self, tokens: Tensor, text: Tensor) -> Tensor:
        """``[B, T, g, g, D]`` and ``[T, D]`` or ``[B, T, D]`` -> ``[B, T, g, g, D]``."""
        text = text.expand(len(tokens), -1, -1)[:, None, None]
        if not self.training:
            # Cells are independent here, so rows of them can be worked on apart.
            return tokens + _in_parts(lambda rows: self._compare(rows, text), tokens, dim=2)
        batch, labels, side = tokens.shape[:3]
        pooled = F.avg_pool2d(tokens.flatten(0, 1).permute(0, 3, 1, 2), self.pool)
        pooled = pooled.permute(0, 2, 3, 1)
        compared = self._compare(pooled.reshape(batch, labels, *pooled.shape[1:]), text)
        upscaled = F.interpolate(compared.flatten(0, 1).permute(0, 3, 1, 2), (side, side), mode="bilinear", align_corners=True)
        answer: Tensor = tokens + upscaled.permute(0, 2, 3, 1).reshape_as(tokens)
        return answer

    def _compare(self, tokens: Tensor, text: Tensor) -> Tensor:
        labels = tokens.shape[1]
        tokens = tokens.permute(0, 2, 3, 1, 4)  # [B, h, w, T, D]
        if self.padding is not None and self.padding_guide is not None and labels < self.most_labels:
            missing = self.most_labels - labels
            tokens = torch.cat([tokens, self.padding.expand(*tokens.shape[:3], missing, -1)], dim=3)
            text = torch.cat([text, self.padding_guide.expand(*text.shape[:3], missing, -1)], dim=3)
        projected = self.attention.project(self.norm1(tokens), text)
        query, key, value = (part.reshape(*part.shape[:-1], self.heads, -1) for part in projected)
        tokens = tokens + linear_attention(query, key, value).flatten(-2)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens[..., :labels, :].permute(0, 3, 1, 2, 4)


class Aggregator(nn.Module):
    """Cosines -> an embedding of every label at every cell."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        width, guide = config.hidden, config.hidden
        self.embed = nn.Conv2d(1, width, 7, padding=3)
        self.appearance = nn.Sequential(nn.Conv2d(config.embed_dim, guide, 3, padding=1), nn.ReLU())
        self.text = nn.Sequential(nn.Linear(config.embed_dim, width), nn.ReLU())
        self.layers = nn.ModuleList(AggregatorLayer(config) for _ in range(config.layers))

    def forward(self, cost: Tensor, features: Tensor, text: Tensor) -> Tensor:
        """Aggregate.

        Args:
            cost: cosines float ``[B, T, g, g]``.
            features: of the image, float ``[B, E, g, g]``, masks injected.
            text: float ``[T, E]``, or ``[B, T, E]``: each image's own labels.

        Returns:
            float ``[B, T, g, g, D]``.
        """
        embedded = self.embed(cost.flatten(0, 1).unsqueeze(1)).permute(0, 2, 3, 1)
        tokens: Tensor = embedded.reshape(*cost.shape, -1)
        appearance = self.appearance(features).permute(0, 2, 3, 1).unsqueeze(1)
        guide = self.text(text)
        for layer in self.layers:
            tokens = layer(tokens, appearance, guide)
        return tokens


class AggregatorLayer(nn.Module):
    """Space, then labels."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        sizes = (config.hidden, config.hidden, config.heads, config.window)
        self.guide_norm = nn.LayerNorm(config.hidden)
        self.plain = WindowBlock(*sizes, shifted=False)
        self.shifted = WindowBlock(*sizes, shifted=True)
        self.labels = LabelBlock(config)

    def forward(self, tokens: Tensor, appearance: Tensor, text: Tensor) -> Tensor:
        """``[B, T, g, g, D]``, ``[B, 1, g, g, D]`` and ``[T, D]`` or ``[B, T, D]`` -> ``[B, T, g, g, D]``."""
        guide = self.guide_norm(appearance)
        if self.training:
            tokens = self.shifted(self.plain(tokens, guide), guide)
        else:
            tokens = _in_parts(lambda part: self.shifted(self.plain(part, guide), guide), tokens, dim=1)
        answer: Tensor = self.labels(tokens, text)
        return answer


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with the feature map ``elu + 1`` (Katharopoulos et al.), ``[..., T, heads, c]`` each."""
    query, key = F.elu(query) + 1, F.elu(key) + 1
    length = value.shape[-3]
    # Divided first and multiplied last: sums over hundreds of labels overflow half precision.
    summary = torch.einsum("...thc,...thd->...hcd", key, value / length)
    normaliser = torch.einsum("...thc,...hc->...th", query, key.sum(dim=-3)) + 1e-6
    answer: Tensor = torch.einsum("...thc,...hcd->...thd", query, summary) / normaliser.unsqueeze(-1) * length
    return answer


def _join(layer: nn.Linear, tokens: Tensor, guide: Tensor) -> Tensor:
    """``layer`` of tokens and guide side by side, without repeating a guide that many tokens share."""
    own, shared = torch.split(layer.weight, [tokens.shape[-1], guide.shape[-1]], dim=1)
    return F.linear(tokens, own, layer.bias) + F.linear(guide, shared)


def _in_parts(function: Callable[[Tensor], Tensor], tokens: Tensor, dim: int) -> Tensor:
    return torch.cat([function(part) for part in torch.split(tokens, LABELS_AT_ONCE, dim=dim)], dim=dim)


def _to_windows(tokens: Tensor, window: int) -> Tensor:
    """``[B, T, g, g, D]`` -> ``[B, T, windows, window * window, D]``, flattened over the first two."""
    side, width = tokens.shape[2], tokens.shape[-1]
    count = side // window
    blocks = tokens.reshape(-1, count, window, count, window, width).transpose(2, 3)
    return blocks.reshape(-1, count * count, window * window, width)


def _from_windows(windows: Tensor, shape: torch.Size, window: int) -> Tensor:
    """The inverse of :func:`_to_windows`, for tokens of ``shape``."""
    side, width = shape[2], shape[-1]
    count = side // window
    blocks = windows.reshape(-1, count, count, window, window, width).transpose(2, 3)
    return blocks.reshape(shape)


def _shift_bias(side: int, window: int, shift: int, like: Tensor) -> Tensor:
    """float ``[windows, 1, window ** 2, window ** 2]``: keeps cells apart that only the shift has brought together."""
    place = torch.arange(side, device=like.device)
    strip = (place >= side - window).long() + (place >= side - shift).long()
    kind = (3 * strip[:, None] + strip[None, :]).reshape(1, 1, side, side, 1)
    kind = _to_windows(kind, window).reshape(-1, window * window)
    apart = kind[:, :, None] != kind[:, None, :]
    return (apart * _ELSEWHERE).to(like.dtype).unsqueeze(1)


def _largest_window(side: int, most: int) -> int:
    """The largest divisor of ``side`` that does not exceed ``most``."""
    return max(window for window in range(1, min(side, most) + 1) if side % window == 0)
