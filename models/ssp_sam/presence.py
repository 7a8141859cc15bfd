"""What the tiny model adds behind the prompt generator: relevance of each patch, presence of a target, prompts that point.

None of this is in the published SSP-SAM, where the switches of ``HeadConfig`` are off. At this project's scale it is what makes the prompts
learn within minutes: the decoder already understands points, and every patch gets a target of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.ssp_sam.adapters import Mlp
from models.ssp_sam.prompt_generator import GeneratorOutput


class PresenceHead(nn.Module):
    """Relevance logits of the patches and one logit for "the phrase refers to something in this image"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.relevance = Mlp(width, width, 1)
        self.presence = Mlp(width + 2, width, 1)

    def forward(self, tokens: GeneratorOutput) -> tuple[Tensor, Tensor]:
        """Relevance logits float ``[K, N]`` and presence logits float ``[K]``."""
        relevance = self.relevance_of(tokens.patches)
        # The strongest patches say more about presence than the mean, which shrinks with the target.
        strongest = relevance.topk(min(4, relevance.shape[1]), dim=1).values
        evidence = torch.stack([strongest[:, 0], strongest.mean(dim=1)], dim=1)
        presence = self.presence(torch.cat([tokens.box_token, evidence.to(tokens.box_token.dtype)], dim=1))
        return relevance, presence.squeeze(-1).float()

    def relevance_of(self, patches: Tensor) -> Tensor:
        """Patches of any layer ``[K, N, d]`` -> logits float ``[K, N]``."""
        logits: Tensor = self.relevance(patches).squeeze(-1).float()
        return logits


class PointPrompts(nn.Module):
    """Adds to each prompt what a click on the patches that it attends to would say, and the mark of a positive point."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.relevance_weight = nn.Parameter(torch.tensor(1.0))
        # Small at first: the decoder begins with plain points, which it knows, and learns to read what the tokens add.
        self.content_weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, tokens: GeneratorOutput, relevance: Tensor, patch_clicks: Tensor, positive_point: Tensor) -> Tensor:
        """Point with every prompt.

        Args:
            tokens: of the prompt generator, K phrases.
            relevance: logits float ``[K, N]``; irrelevant patches get little attention from the start.
            patch_clicks: what a click on each patch says, float ``[N, d]`` or ``[K, N, d]``.
            positive_point: SAM's embedding of a positive click, float ``[1, d]``.

        Returns:
            sparse prompt embeddings float ``[K, Q, d]``.
        """
        query, key = self.query(tokens.prompts), self.key(tokens.patches)
        logits = (query @ key.transpose(1, 2)).float() * query.shape[-1] ** -0.5
        logits = logits + self.relevance_weight * F.logsigmoid(relevance).unsqueeze(1)
        places = logits.softmax(dim=-1).to(patch_clicks.dtype) @ patch_clicks
        pointing: Tensor = self.content_weight * tokens.prompts + places + positive_point
        return pointing
