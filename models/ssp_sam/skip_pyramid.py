"""Features for the mask decoder's upscaling, from coarse to fine (switch ``high_resolution_skips``)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SkipPyramid(nn.Module):
    """What the embedding knows about objects meets the edges that the stem has kept.

    The stock decoder draws every edge from 16 x 16 cells alone; at 1024 pixels that is enough, at 256 an object is three cells wide.

    Args:
        stem: widths of the stem at strides 2, 4 and 8.
        out_channels: width d of the embedding.
    """

    def __init__(self, stem: tuple[int, ...], out_channels: int) -> None:
        super().__init__()
        _, stride4, stride8 = stem
        wide, narrow = out_channels // 2, out_channels // 4
        self.coarse = nn.Conv2d(out_channels, wide, 1)
        self.middle = nn.Conv2d(stride8, wide, 1)
        self.mix8 = nn.Sequential(nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU())
        self.reduce = nn.Conv2d(wide, narrow, 1)
        self.fine = nn.Conv2d(stride4, narrow, 1)
        self.mix4 = nn.Sequential(nn.ReLU(), nn.Conv2d(narrow, narrow, 3, padding=1), nn.ReLU())
        self.skip8 = nn.Conv2d(wide, out_channels // 4, 1)
        self.skip4 = nn.Conv2d(narrow, out_channels // 8, 1)

    def forward(self, embedding: Tensor, stride8: Tensor, stride4: Tensor) -> tuple[Tensor, Tensor]:
        """Refine.

        Args:
            embedding: float ``[B, d, G, G]``.
            stride8: the stem's features float ``[B, c8, 2G, 2G]``.
            stride4: the stem's features float ``[B, c4, 4G, 4G]``.

        Returns:
            float ``[B, d / 4, 2G, 2G]`` and ``[B, d / 8, 4G, 4G]``, to be added while the decoder upscales.
        """
        mixed8 = self.mix8(self.middle(stride8) + F.interpolate(self.coarse(embedding), scale_factor=2, mode="nearest"))
        mixed4 = self.mix4(self.fine(stride4) + F.interpolate(self.reduce(mixed8), scale_factor=2, mode="nearest"))
        return self.skip8(mixed8), self.skip4(mixed4)
