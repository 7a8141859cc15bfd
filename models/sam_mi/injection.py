"""Decoupled Mask Injection: what SAM's masks know of an image joins the maps that guide the labels (spec section 4).

Masks never touch a label directly, and every branch is added behind a gate that begins at zero: a bad mask can only disturb guidance, and
an untrained injection leaves the network what it was.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import attend, merge_heads, split_heads
from models.sam_mi.config import SamMiConfig

GATES = {"low": ("low.intra_gate", "low.inter_gate", "low.cost_gate"), "high": ("high1.gate", "high2.gate")}
"""Half of the injection -> its gates in the network; behind shut ones it is as if it were not there."""

_EPSILON = 1e-6
_PLACE = 5
"""Numbers that say where a mask lies: centre, size, log of the area."""


class MaskInput(NamedTuple):
    """Masks of B images, filled up to M; which of them count."""

    soft: Tensor
    """float ``[B, M, h, w]``, 0..1, over CLIP's canvas."""
    valid: Tensor
    """bool ``[B, M]``."""

    def at(self, side: int) -> Tensor:
        """The valid masks, others zero, by area on a grid: float ``[B, M, side, side]``."""
        soft = self.soft * self.valid[:, :, None, None]
        return soft if soft.shape[-1] == side or soft.shape[1] == 0 else F.adaptive_avg_pool2d(soft, side)


class Pooled(NamedTuple):
    """Means inside masks, and the means written back to where the masks lie."""

    means: Tensor
    """float ``[B, M, C]``."""
    written: Tensor
    """float ``[B, C, g, g]``; anything where no mask lies."""
    coverage: Tensor
    """float ``[B, 1, g, g]``, 0..1."""


def pool_and_write(maps: Tensor, masks: Tensor) -> Pooled:
    """Means inside masks, and back: each cell gets the means of the masks over it, by their share.

    Args:
        maps: float ``[B, C, g, g]``.
        masks: float ``[B, M, g, g]``, 0..1.
    """
    flat, cells = masks.flatten(2), maps.flatten(2)
    means = flat @ cells.transpose(1, 2) / (flat.sum(dim=2, keepdim=True) + _EPSILON)
    total = flat.sum(dim=1, keepdim=True)
    written = means.transpose(1, 2) @ flat / (total + _EPSILON)
    return Pooled(means, written.reshape_as(maps), total.clamp(max=1).reshape(len(maps), 1, *maps.shape[2:]))


class LowFrequencyInjection(nn.Module):
    """Context inside masks by pooling, between masks by attention, into CLIP's own map (spec 4.1); a scalar into the cosines (4.3)."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        channels, width = config.embed_dim, config.injection_width
        self.heads = config.injection_heads
        self.intra = nn.Linear(channels, channels)
        self.place = nn.Linear(_PLACE, channels)
        self.query_norm, self.key_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query, self.key, self.value = (nn.Linear(channels, width) for _ in range(3))
        self.inter = nn.Linear(width, channels)
        self.own_mask = nn.Parameter(torch.zeros(1))
        self.intra_gate = nn.Parameter(torch.zeros(channels))
        self.inter_gate = nn.Parameter(torch.zeros(channels))
        self.cost_gate = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, masks: MaskInput) -> Tensor:
        """float ``[B, E, g, g]`` -> the same shape; unchanged for an image without a valid mask."""
        soft = masks.at(features.shape[-1])
        if soft.shape[1] == 0:
            return features
        pooled = pool_and_write(features, soft)
        cells = features.flatten(2).transpose(1, 2)
        intra = self.intra((pooled.written - features).flatten(2).transpose(1, 2)) * pooled.coverage.flatten(2).transpose(1, 2)
        inter = self._between(cells, pooled.means, soft, masks.valid)
        change = self.intra_gate * intra + self.inter_gate * inter
        injected: Tensor = features + change.transpose(1, 2).reshape_as(features)
        return injected

    def inject_cost(self, cost: Tensor, masks: MaskInput) -> Tensor:
        """Cosines float ``[B, T, g, g]``, drawn towards their means inside masks as far as one learned number says."""
        soft = masks.at(cost.shape[-1])
        if soft.shape[1] == 0:
            return cost
        pooled = pool_and_write(cost, soft)
        return cost + self.cost_gate * (pooled.written - cost) * pooled.coverage

    def _between(self, cells: Tensor, means: Tensor, soft: Tensor, valid: Tensor) -> Tensor:
        """What each cell learns from all masks, float ``[B, g * g, E]``; zeros for an image without a valid mask."""
        keys = self.key_norm(means + self.place(_places(soft)))
        query, key, value = self.query(self.query_norm(cells)), self.key(keys), self.value(keys)
        nearness = self.own_mask * (soft.flatten(2).transpose(1, 2) + 1e-3).log()
        # Finite, so that a softmax over no valid mask stays a number; the product below takes it away.
        bias = nearness.masked_fill(~valid[:, None, :], torch.finfo(nearness.dtype).min / 2).unsqueeze(1)
        heard = merge_heads(attend(*(split_heads(part, self.heads) for part in (query, key, value)), bias=bias))
        answer: Tensor = self.inter(heard) * valid.any(dim=1)[:, None, None]
        return answer


class HighFrequencyInjection(nn.Module):
    """Edges of masks strengthen what changes quickly in a finer map (spec 4.2).

    Args:
        channels: of the map.
        edge_filter: see :class:`SamMiConfig`.
    """

    def __init__(self, channels: int, edge_filter: str) -> None:
        super().__init__()
        self.edge_filter = edge_filter
        self.mix = nn.Conv2d(channels + 1, channels, 3, padding=1)
        self.gate = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor, masks: MaskInput) -> Tensor:
        """float ``[B, C, h, w]`` -> the same shape; unchanged for an image without a valid mask."""
        soft = masks.at(maps.shape[-1])
        if soft.shape[1] == 0:
            return maps
        edges = mask_edges(soft)
        if self.edge_filter == "laplacian":
            high = maps - F.interpolate(F.avg_pool2d(maps, 2), maps.shape[-2:], mode="bilinear", align_corners=False)
        else:
            pooled = pool_and_write(maps, soft)
            high = (maps - pooled.written) * pooled.coverage
        change = self.mix(torch.cat([(1 + edges) * high, edges], dim=1)) * masks.valid.any(dim=1)[:, None, None, None]
        injected: Tensor = maps + self.gate[:, None, None] * change
        return injected


def mask_edges(soft: Tensor) -> Tensor:
    """Where any mask ends: float ``[B, M, h, w]`` -> ``[B, 1, h, w]``, 0..1."""
    largest, smallest = F.max_pool2d(soft, 3, 1, 1), -F.max_pool2d(-soft, 3, 1, 1)
    return (largest - smallest).amax(dim=1, keepdim=True)


def _places(soft: Tensor) -> Tensor:
    """Centre, size and log area of masks ``[B, M, g, g]`` in units of the canvas, float ``[B, M, 5]``."""
    side = soft.shape[-1]
    axis = (torch.arange(side, device=soft.device, dtype=soft.dtype) + 0.5) / side
    area = soft.sum(dim=(2, 3)) + _EPSILON
    numbers = []
    for profile in (soft.sum(dim=2), soft.sum(dim=3)):  # along x, along y
        centre = (profile * axis).sum(dim=2) / area
        spread = (profile * (axis - centre[..., None]) ** 2).sum(dim=2) / area
        numbers += [centre, spread.clamp(min=0).sqrt()]
    return torch.stack([*numbers, (area / side**2).log()], dim=-1)
