"""The decoder: two steps up to four times CLIP's grid, each guided by a finer map of the image (spec 5.6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sam_mi.config import SamMiConfig

LABELS_AT_ONCE = 6
"""Outside of training so many labels are decoded together: at four times the grid they are large, and more leave a processor's cache."""
_CHANNELS_PER_GROUP = 16


def _double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
        layers += [convolution, nn.GroupNorm(out_channels // _CHANNELS_PER_GROUP, out_channels), nn.ReLU()]
    return nn.Sequential(*layers)


class Up(nn.Module):
    """Twice the resolution, with a guide that all labels share."""

    def __init__(self, in_channels: int, out_channels: int, guide: int, guide_hidden: int) -> None:
        super().__init__()
        self.guide = nn.Sequential(nn.Conv2d(guide, guide_hidden, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(in_channels, in_channels - guide_hidden, 2, stride=2)
        self.mix = _double_convolution(in_channels, out_channels)

    def forward(self, maps: Tensor, guide: Tensor) -> Tensor:
        """``[B * T, C, h, w]`` and ``[B, G, 2h, 2w]`` -> ``[B * T, C', 2h, 2w]``."""
        upscaled = self.up(maps)
        shared = self.guide(guide).repeat_interleave(len(maps) // len(guide), dim=0)
        answer: Tensor = self.mix(torch.cat([upscaled, shared], dim=1))
        return answer


class Decoder(nn.Module):
    """Embeddings of the labels -> logits."""

    def __init__(self, config: SamMiConfig) -> None:
        super().__init__()
        wide, narrow = config.decoder
        self.up1 = Up(config.hidden, wide, config.guidance[0], config.guidance_hidden[0])
        self.up2 = Up(wide, narrow, config.guidance[1], config.guidance_hidden[1])
        self.head = nn.Conv2d(narrow, 1, 3, padding=1)

    def forward(self, embedding: Tensor, finer: Tensor, finest: Tensor) -> Tensor:
        """Decode.

        Args:
            embedding: float ``[B, T, g, g, D]``.
            finer: float ``[B, G1, 2g, 2g]``.
            finest: float ``[B, G2, 4g, 4g]``.

        Returns:
            logits float ``[B, T, 4g, 4g]``.
        """
        if self.training:
            return self._decode(embedding, finer, finest)
        return torch.cat([self._decode(part, finer, finest) for part in torch.split(embedding, LABELS_AT_ONCE, dim=1)], dim=1)

    def _decode(self, embedding: Tensor, finer: Tensor, finest: Tensor) -> Tensor:
        maps = self.up2(self.up1(embedding.flatten(0, 1).permute(0, 3, 1, 2), finer), finest)
        logits: Tensor = self.head(maps)
        return logits.reshape(*embedding.shape[:2], *logits.shape[-2:])
