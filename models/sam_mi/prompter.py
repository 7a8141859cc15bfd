"""Text-guided Sparse Point Prompter: two linear heads say where one point is worth asking SAM (spec section 2).

A good point lies well inside a region that one label explains with confidence, and a second point in the same region is waste. What the
paper calls its two assumptions is not public; these are ours, and so is the form of the heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.sam_mi.config import SamMiConfig


class PointPrompter(nn.Module):
    """How worth asking each cell is, for any vocabulary."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        self.names = config.prompter_names
        self.text_head = nn.Linear(config.prompter_names + 1, config.prompter_width)
        self.norm = nn.LayerNorm(config.embed_dim)
        self.visual_head = nn.Linear(config.embed_dim, config.prompter_width)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, cost: Tensor, features: Tensor) -> Tensor:
        """Score the cells. No gradient flows into cosines or features: the prompter must not disturb them.

        Args:
            cost: cosines float ``[B, T, g, g]``, T at least 1.
            features: float ``[B, E, g, g]``.

        Returns:
            logits float ``[B, g, g]``.
        """
        said = self.text_head(cost_statistics(cost.detach(), self.names))
        seen = self.visual_head(self.norm(features.detach().permute(0, 2, 3, 1)))
        logits: Tensor = (said * seen).sum(dim=-1) * said.shape[-1] ** -0.5 + self.bias
        return logits


def cost_statistics(cost: Tensor, count: int) -> Tensor:
    """What a cell's cosines look like whatever the labels are called: float ``[B, T, g, g]`` -> ``[B, g, g, count + 1]``.

    The ``count`` largest less their mean, in descending order and filled up with the smallest, and how far the largest leads.
    """
    best = cost.permute(0, 2, 3, 1).topk(min(count, cost.shape[1]), dim=-1).values
    filled = torch.cat([best, best[..., -1:].expand(*best.shape[:-1], count - best.shape[-1])], dim=-1)
    lead = filled[..., :1] - filled[..., 1:2]
    return torch.cat([filled - filled.mean(dim=-1, keepdim=True), lead], dim=-1)


def point_loss(logits: Tensor, target: Tensor, judged: Tensor) -> Tensor:
    """Focal loss with less penalty near a region's middle (after CornerNet), mean over the judged cells.

    Args:
        logits: float ``[B, g, g]``.
        target: float ``[B, g, g]``, 1 in the middle of each region, 0 on its border and outside.
        judged: bool ``[B, g, g]``.
    """
    probability = logits.sigmoid()
    is_middle = target >= 0.8
    found = (1 - probability) ** 2 * F.logsigmoid(logits)
    avoided = (1 - target) ** 4 * probability**2 * F.logsigmoid(-logits)
    loss = -torch.where(is_middle, found, avoided)
    return (loss * judged).sum() / judged.sum().clamp(min=1)
