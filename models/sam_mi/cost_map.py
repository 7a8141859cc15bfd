"""How well every cell of an image fits every name, by words alone (spec 5.4, 7.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Evidence(NamedTuple):
    """How far every cell of CLIP's canvas shows each name, and how far it shows nothing that is asked for."""

    labels: Tensor
    """float ``[T, side, side]``, 0..1: of the names that are asked for."""
    nothing: Tensor
    """float ``[side, side]``, 0..1: of everything else, other names included; what a label must exceed."""

    def best(self) -> tuple[Tensor, Tensor]:
        """Label int64 ``[side, side]``, -1 where nothing wins, and its probability float ``[side, side]``."""
        if len(self.labels) == 0:
            return torch.full_like(self.nothing, -1, dtype=torch.int64), torch.zeros_like(self.nothing)
        confidence, label = self.labels.max(dim=0)
        return label.where(confidence > self.nothing, torch.full_like(label, -1)), confidence


def dense_features(clip_tokens: Tensor) -> Tensor:
    """CLIP's tokens ``[B, 1 + g * g, E]``, class token first -> its patches as a map, float ``[B, E, g, g]``."""
    patches = clip_tokens[:, 1:].float()
    side = round(patches.shape[1] ** 0.5)
    return patches.transpose(1, 2).reshape(len(patches), -1, side, side)


def cost_map(features: Tensor, text: Tensor) -> Tensor:
    """Cosines.

    Args:
        features: float ``[B, E, g, g]`` of length 1.
        text: float ``[T, E]`` of length 1, or ``[B, T, E]``: each image's own labels.

    Returns:
        float ``[B, T, g, g]``.
    """
    return torch.einsum("behw,bte->bthw", features, text.to(features.dtype).expand(len(features), -1, -1))


def evidence(cost: Tensor, asked: int, *, temperature: float, background_cosine: float | None) -> Evidence:
    """Let the names compete for every cell.

    Args:
        cost: cosines float ``[T + R, h, w]``: the names that are asked for, then their rivals.
        asked: T.
        temperature: of the softmax.
        background_cosine: what a cell must reach to show anything at all; ``None``: the rivals are all there is against it.

    Raises:
        ValueError: nothing competes with the names that are asked for.
    """
    if background_cosine is not None:
        cost = torch.cat([cost, cost.new_full((1, *cost.shape[1:]), background_cosine)])
    if len(cost) == asked:
        raise ValueError("the names need a rival: give background names or a background cosine")
    probability = (temperature * cost).softmax(dim=0)
    return Evidence(probability[:asked], probability[asked:].sum(dim=0))
