"""From the prompter's heat to points: peaks, the best first, not too close to each other (spec 2.4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.preprocess import Letterbox
from models.sam_mi.canvas import image_cells, resize
from models.sam_mi.presets import Preset
from models.sam_mi.region_points import Points, Region, fill_up

LEAST_HEAT = 0.3
LEAST_DISTANCE = 3.0
"""Between two points, in cells of the point grid: one and a half of CLIP's patches."""


def points_at_peaks(logits: Tensor, regions: list[Region], letterbox: Letterbox, side: int, preset: Preset) -> Points:
    """Where to ask SAM.

    Args:
        logits: of the prompter, float ``[g, g]``.
        regions: what the words mark, on the point grid.
        letterbox: CLIP's.
        side: of the point grid.
        preset: how many points at least and at most.
    """
    heat = resize(logits.float().sigmoid().unsqueeze(0), side)
    heat = heat * image_cells(letterbox, side).to(heat.device)
    is_peak = (heat == F.max_pool2d(heat, 3, 1, 1)) & (heat >= LEAST_HEAT)
    rows, columns = torch.nonzero(is_peak[0], as_tuple=True)
    order = heat[0, rows, columns].argsort(descending=True, stable=True)
    peaks = torch.stack([columns[order], rows[order]], dim=1).cpu().numpy()
    cells = _apart(peaks, preset.most_points)
    return fill_up(cells, [_around(cell, regions, side) for cell in cells], letterbox, side, preset)


def _apart(peaks: npt.NDArray[np.int64], most: int) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    for x, y in peaks.tolist():
        if len(chosen) == most:
            break
        if all(np.hypot(x - a, y - b) >= LEAST_DISTANCE for a, b in chosen):
            chosen.append((x, y))
    return chosen


def _around(cell: tuple[int, int], regions: list[Region], side: int) -> npt.NDArray[np.bool_]:
    """The region that a point lies in, bool ``[side, side]``; all false for none."""
    column, row = cell
    return next((region.cells for region in regions if region.worth[row, column] > 0), np.zeros((side, side), np.bool_))
