"""Clicks that see what lies under them (switch ``point_features``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from models.ssp_sam.sam_masks import SamFeatures


class PointReader(nn.Module):
    """What the image shows at a prompt's place, for the prompt to carry along.

    A stock prompt says where it is and no more; which of two objects lies there has to be found out from cells of 16 x 16 pixels. Near the
    rim of an object, and a third of a small object is rim, that is a guess. The last layer starts at zero: a network that has learned
    without the reader starts as it is.

    Args:
        out_channels: width d of the embedding.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        width = out_channels + out_channels // 4 + out_channels // 8
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, out_channels)
        self.activation = nn.GELU()
        self.out = nn.Linear(out_channels, out_channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: SamFeatures, coordinates: Tensor, image_size: int) -> Tensor:
        """Read.

        Args:
            features: of ``K`` images, with skips.
            coordinates: float ``[K, n, 2]``, x and y in pixels of SAM's canvas; what lies outside reads the nearest cell.
            image_size: side of the canvas.

        Returns:
            float ``[K, n, d]``, to be added to the prompts.
        """
        relative = coordinates / image_size
        return self._read([_under(level, relative) for level in _levels(features)])

    def cells(self, features: SamFeatures) -> Tensor:
        """What every cell of SAM's grid shows on the whole, float ``[K, N, d]``, row by row; for prompts that attend to cells."""
        side = features.embedding.shape[-1]
        seen = [F.adaptive_avg_pool2d(level, side).flatten(2).mT.expand(len(features.embedding), -1, -1) for level in _levels(features)]
        return self._read(seen)

    def _read(self, seen: list[Tensor]) -> Tensor:
        read: Tensor = self.out(self.activation(self.hidden(self.norm(torch.cat(seen, dim=-1)))))
        return read


def _levels(features: SamFeatures) -> tuple[Tensor, Tensor, Tensor]:
    if features.skip8 is None or features.skip4 is None:
        raise ValueError("points read features at strides 16, 8 and 4; these image features have no skips")
    return features.embedding, features.skip8, features.skip4


def _under(level: Tensor, relative: Tensor) -> Tensor:
    """The cells of ``level``, float ``[K or 1, c, s, s]``, that hold the points, ``[K, n, 2]`` in 0..1; float ``[K, n, c]``."""
    side = level.shape[-1]
    cells = (relative * side).long().clamp(0, side - 1)
    image = torch.arange(len(relative), device=level.device).clamp(max=len(level) - 1)
    return level[image[:, None], :, cells[..., 1], cells[..., 0]]
