"""Three frames meet here: CLIP's canvas, SAM's canvas and the image. Maps are square and cover a whole canvas, padding included."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.preprocess import Letterbox


def move(maps: Tensor, source: Letterbox, target: Letterbox, side: int) -> Tensor:
    """The same maps over another canvas.

    Args:
        maps: float ``[K, h, w]`` over ``source``.
        source: the canvas they cover.
        target: the canvas to cover.
        side: cells along one side of the result.

    Returns:
        float ``[K, side, side]``, bilinear, averaged where the result is coarser; beyond ``source`` its border goes on.
    """
    scale_x, shift_x = _axis(source, target, 1)
    scale_y, shift_y = _axis(source, target, 0)
    if (scale_x, shift_x, scale_y, shift_y) == (1.0, 0.0, 1.0, 0.0):
        return resize(maps, side)
    fine = max(side, maps.shape[-1])
    theta = maps.new_tensor([[[scale_x, 0.0, shift_x], [0.0, scale_y, shift_y]]])
    grid = F.affine_grid(theta, [1, 1, fine, fine], align_corners=False)
    moved = F.grid_sample(maps.unsqueeze(0), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return resize(moved.squeeze(0), side)


def end_at_border(logits: Tensor, letterbox: Letterbox) -> Tensor:
    """Logits ``[..., side, side]`` that are negative beyond the image, with the change of sign just outside its last cells."""
    side = logits.shape[-1]
    rows, columns = (torch.arange(side).clamp(cells.start, cells.stop - 1) for cells in image_slices(letterbox, side))
    continued = logits[..., rows[:, None], columns]
    return torch.where(image_cells(letterbox, side).to(logits.device), logits, -continued.abs() - torch.finfo(logits.dtype).tiny)


def resize(maps: Tensor, side: int) -> Tensor:
    """float ``[K, h, w]`` -> ``[K, side, side]``: averages on the way down, bilinear on the way up."""
    if len(maps) == 0 or maps.shape[-2:] == (side, side):
        return maps.new_zeros(len(maps), side, side) if len(maps) == 0 else maps
    if maps.shape[-1] > side:
        return F.adaptive_avg_pool2d(maps, side)
    return F.interpolate(maps.unsqueeze(0), (side, side), mode="bilinear", align_corners=False).squeeze(0)


def image_slices(letterbox: Letterbox, side: int) -> tuple[slice, slice]:
    """Rows and columns of cells that show any of the image, of a map with ``side`` cells over the canvas; at least one of each."""
    return _shown(letterbox, side, 0), _shown(letterbox, side, 1)


def image_cells(letterbox: Letterbox, side: int) -> Tensor:
    """bool ``[side, side]``: the cells that show the image; never all false."""
    inside = torch.zeros(side, side, dtype=torch.bool)
    inside[image_slices(letterbox, side)] = True
    return inside


def cells_to_image(cells: npt.NDArray[np.floating], letterbox: Letterbox, side: int) -> npt.NDArray[np.float64]:
    """Centres of cells, column and row ``[N, 2]`` of a map with ``side`` cells -> x and y in pixels of the image, clamped into it."""
    canvas = (np.asarray(cells, np.float64) + 0.5) * letterbox.side / side
    height, width = letterbox.original_hw
    scale = np.array(letterbox.resized_hw[::-1]) / np.array([width, height])
    points = (canvas - [letterbox.left, letterbox.top]) / scale
    # A point names a pixel: its centre lies half a pixel on.
    return np.asarray(np.clip(points - 0.5, 0, [width - 1, height - 1]), np.float64)


def _axis(source: Letterbox, target: Letterbox, axis: int) -> tuple[float, float]:
    """Target coordinate in -1..1 -> source coordinate in -1..1, as factor and shift."""
    source_start, target_start = (source.top, target.top) if axis == 0 else (source.left, target.left)
    ratio = source.resized_hw[axis] / target.resized_hw[axis]
    scale = ratio * target.side / source.side
    shift = 2 / source.side * (source_start + ratio * (target.side / 2 - target_start)) - 1
    return scale, shift


def _shown(letterbox: Letterbox, side: int, axis: int) -> slice:
    start = letterbox.top if axis == 0 else letterbox.left
    stop = start + letterbox.resized_hw[axis]
    return slice(start * side // letterbox.side, -(-stop * side // letterbox.side))
