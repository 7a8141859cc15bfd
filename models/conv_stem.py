"""A convolutional stem in place of a ViT's linear patch embedding.

A switch of the tiny configuration: from scratch and within minutes, convolutions learn edges and colours that a 16 x 16 linear patch
does not. Published configurations do not use it.
"""

from __future__ import annotations

from torch import Tensor, nn


def _convolution(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a skip, ``[B, C, H, W]`` -> ``[B, C, H, W]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 1)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        sum_: Tensor = self.activation(x + self.second(self.first(x)))
        return sum_


class ConvStem(nn.Module):
    """Image -> features at strides 4, 8 and 16.

    Args:
        channels: widths at strides 2, 4 and 8.
        width: width at stride 16, that of the transformer behind the stem.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        stride2, stride4, stride8 = channels
        self.to_stride4 = nn.Sequential(_convolution(3, stride2, 2), _convolution(stride2, stride4, 2))
        self.to_stride8 = nn.Sequential(_convolution(stride4, stride8, 2), ResidualBlock(stride8), ResidualBlock(stride8))
        self.to_stride16 = nn.Sequential(_convolution(stride8, width, 2), nn.Conv2d(width, width, 1))

    def pyramid(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """float ``[B, 3, S, S]`` -> ``[B, c4, S/4, S/4]``, ``[B, c8, S/8, S/8]``, ``[B, width, S/16, S/16]``."""
        stride4 = self.to_stride4(image)
        stride8 = self.to_stride8(stride4)
        return stride4, stride8, self.to_stride16(stride8)

    def forward(self, image: Tensor) -> Tensor:
        """float ``[B, 3, S, S]`` -> ``[B, width, S/16, S/16]``."""
        return self.pyramid(image)[2]
