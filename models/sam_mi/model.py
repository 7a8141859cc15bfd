"""SAM-MI's trained network behind CLIP and SAM. This file only joins the stages."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.sam_mi.aggregator import Aggregator
from models.sam_mi.canvas import resize
from models.sam_mi.config import SamMiConfig
from models.sam_mi.cost_map import cost_map
from models.sam_mi.decoder import Decoder
from models.sam_mi.injection import HighFrequencyInjection, LowFrequencyInjection, MaskInput
from models.sam_mi.prompter import PointPrompter

FINER = 4
"""The output has this many times CLIP's cells along a side."""
UNSEEN_LOGIT = -100.0
"""Of labels that were too many to be looked at closely."""
FIRST_SCALE, FIRST_BIAS = 10.0, 0.3
"""Where the switch ``cost_skip`` begins: a cosine above 0.3 is a yes."""


class ImageMaps(NamedTuple):
    """What the encoders know of B images."""

    features: Tensor
    """CLIP's patches in the joint space, float ``[B, E, g, g]``, of any length."""
    finer: Tensor
    """float ``[B, G1, 2g, 2g]``."""
    finest: Tensor
    """float ``[B, G2, 4g, 4g]``."""


class TapMaps(nn.Module):
    """Finer maps from two blocks of CLIP; the deeper block feeds the finer map (spec section 1, step 3)."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        self.to_finer = nn.ConvTranspose2d(config.tap_width, config.guidance[0], 2, stride=2)
        self.to_finest = nn.ConvTranspose2d(config.tap_width, config.guidance[1], 4, stride=4)

    def forward(self, early: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
        """Patches of both blocks, float ``[B, C, g, g]`` -> ``[B, G1, 2g, 2g]`` and ``[B, G2, 4g, 4g]``."""
        return self.to_finer(early), self.to_finest(late)


class SamMi(nn.Module):
    """Maps of an image, labels and masks -> logits of every label.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        self.config = config
        self.tap_maps = TapMaps(config) if config.taps is not None else None
        self.prompter = PointPrompter(config)
        self.low = LowFrequencyInjection(config)
        self.high1, self.high2 = (HighFrequencyInjection(channels, config.edge_filter) for channels in config.guidance)
        self.aggregator = Aggregator(config)
        self.decoder = Decoder(config)
        self.cost_scale = nn.Parameter(torch.tensor(FIRST_SCALE)) if config.cost_skip else None
        self.cost_bias = nn.Parameter(torch.tensor(FIRST_BIAS)) if config.cost_skip else None
        if config.cost_skip:
            nn.init.zeros_(self.decoder.head.weight)
            nn.init.zeros_(self.decoder.head.bias)  # type: ignore[arg-type]  # made with a bias

    def forward(self, image: ImageMaps, text: Tensor, masks: MaskInput) -> Tensor:
        """Score every label at every cell.

        Args:
            image: maps of B images.
            text: float ``[T, E]`` of length 1, any T: the same labels for all images; or ``[B, T, E]``: each image's own.
            masks: SAM's, over CLIP's canvas.

        Returns:
            logits float ``[B, T, 4g, 4g]``, one sigmoid per label.
        """
        cost = cost_map(F.normalize(image.features, dim=1), text)
        if cost.shape[1] <= self.config.most_labels:
            return self._score(image, cost, text, masks)
        labels = cost.amax(dim=(2, 3)).topk(self.config.most_labels).indices.sort().values
        rows = torch.arange(len(cost), device=cost.device)[:, None]
        logits = self._score(image, cost[rows, labels], text.expand(len(cost), -1, -1)[rows, labels], masks)
        everything = logits.new_full((*cost.shape[:2], *logits.shape[2:]), UNSEEN_LOGIT)
        everything[rows, labels] = logits
        return everything

    def point_logits(self, image: ImageMaps, text: Tensor) -> Tensor:
        """Where one point is worth asking, logits float ``[B, g, g]``; text as for :meth:`forward`, T at least 1."""
        logits: Tensor = self.prompter(cost_map(F.normalize(image.features, dim=1), text), image.features)
        return logits

    def _score(self, image: ImageMaps, cost: Tensor, text: Tensor, masks: MaskInput) -> Tensor:
        if cost.shape[1] == 0:
            return cost.new_zeros(len(cost), 0, *image.finest.shape[2:])
        cost = self.low.inject_cost(cost, masks)
        embedding = self.aggregator(cost, self.low(image.features, masks), text)
        logits: Tensor = self.decoder(embedding, self.high1(image.finer, masks), self.high2(image.finest, masks))
        if self.cost_scale is None or self.cost_bias is None:
            return logits
        upscaled = resize(cost.flatten(0, 1), logits.shape[-1]).reshape_as(logits)
        return logits + self.cost_scale * (upscaled - self.cost_bias)
