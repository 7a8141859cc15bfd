"""Where to ask SAM when nothing was trained for it: in the middle of what the words mark (spec 7.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models.preprocess import Letterbox
from models.sam_mi.canvas import image_cells, resize
from models.sam_mi.cost_map import Evidence
from models.sam_mi.presets import Preset

GRID = 4
"""Points along one side of the grid that fills up."""
DEPTH_SHARE = 0.7
"""How much the distance to the border of a region counts against the words' confidence."""


class Region(NamedTuple):
    """Connected cells with one best label."""

    label: int
    confidence: float
    """Mean probability of the label, 0..1."""
    worth: npt.NDArray[np.float32]
    """float ``[n, n]``: how good a place for a point each cell is, confident and deep inside; 0 outside the region."""

    @property
    def cells(self) -> npt.NDArray[np.bool_]:
        """bool ``[n, n]``."""
        return np.asarray(self.worth > 0)


class Points(NamedTuple):
    """Where SAM is asked, N points."""

    cells: npt.NDArray[np.float64]
    """float ``[N, 2]``: column and row of cells of the point grid."""
    marked: npt.NDArray[np.bool_]
    """bool ``[N, n, n]``: the region around each point on that grid; all false where there is none."""


def find_regions(words: Evidence, letterbox: Letterbox, side: int, preset: Preset) -> list[Region]:
    """What the words mark, best first.

    Args:
        words: at any resolution.
        letterbox: CLIP's.
        side: of the grid on which regions are told apart.
        preset: least confidence and area.
    """
    coarse = Evidence(resize(words.labels, side), resize(words.nothing.unsqueeze(0), side).squeeze(0))
    label, confidence = (part.cpu() for part in coarse.best())
    label = label.where(image_cells(letterbox, side), torch.tensor(-1))
    regions: list[Region] = []
    for present in np.unique(label).tolist():
        if present >= 0:
            regions += _parts(present, (label == present).numpy(), confidence.numpy(), preset)
    return sorted(regions, key=lambda region: -region.confidence)


def points_in_regions(regions: list[Region], letterbox: Letterbox, side: int, preset: Preset) -> Points:
    """One point or several in each region, then a coarse grid over the rest if these are few."""
    shown = int(image_cells(letterbox, side).sum())
    cells: list[tuple[int, int]] = []
    marked: list[npt.NDArray[np.bool_]] = []
    for region in regions:
        extra = int(region.cells.sum() / shown / preset.area_per_point)
        chosen = _spread(region.worth, min(1 + extra, preset.points_per_region, preset.most_points - len(cells)))
        cells += chosen
        marked += [region.cells] * len(chosen)
    return fill_up(cells, marked, letterbox, side, preset)


def fill_up(cells: list[tuple[int, int]], marked: list[npt.NDArray[np.bool_]], letterbox: Letterbox, side: int, preset: Preset) -> Points:
    """Points, and a coarse grid over what they leave free if they are few.

    Args:
        cells: column and row of each point.
        marked: bool ``[side, side]``: the region around each point.
        letterbox: CLIP's.
        side: of the point grid.
        preset: how many points at least and at most.
    """
    if len(cells) < preset.fewest_points:
        free = image_cells(letterbox, side).numpy() & ~np.logical_or.reduce([np.zeros((side, side), np.bool_), *marked])
        filling = list(_grid(free))[: preset.most_points - len(cells)]
        cells = [*cells, *filling]
        marked = [*marked, *[np.zeros((side, side), np.bool_)] * len(filling)]
    return Points(np.array(cells, np.float64).reshape(-1, 2), np.array(marked, np.bool_).reshape(-1, side, side))


def _parts(label: int, mask: npt.NDArray[np.bool_], confidence: npt.NDArray[np.float32], preset: Preset) -> Iterator[Region]:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for part in range(1, count):
        if stats[part, cv2.CC_STAT_AREA] < preset.region_cells:
            continue
        cells = parts == part
        mean = float(confidence[cells].mean())
        if mean >= preset.region_confidence:
            yield Region(label, mean, confidence * _depth(cells))


def _depth(cells: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """1 where a region is deepest, less towards its border, 0 outside; float ``[n, n]``."""
    depth = cv2.distanceTransform(np.pad(cells, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray((1 - DEPTH_SHARE + DEPTH_SHARE * depth / depth.max()) * cells, np.float32)


def _spread(score: npt.NDArray[np.float32], count: int) -> list[tuple[int, int]]:
    """Column and row of the best cell, then of cells that are both good and far from those already chosen."""
    rows, columns = np.nonzero(score)
    chosen: list[int] = []
    worth = score[rows, columns].astype(np.float64)
    nearest = np.full(len(rows), np.inf)
    for _ in range(min(count, len(rows))):
        value = worth * np.where(np.isinf(nearest), 1.0, nearest)
        best = int(value.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, np.hypot(rows - rows[best], columns - columns[best]))
    return [(int(columns[one]), int(rows[one])) for one in chosen]


def _grid(free: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Column and row of the free ones among the centres of a coarse grid over the image's cells."""
    rows, columns = (np.flatnonzero(free.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return
    seen = set()
    for y in (np.arange(GRID) + 0.5) / GRID:
        for x in (np.arange(GRID) + 0.5) / GRID:
            row = int(rows[0] + y * (rows[-1] + 1 - rows[0]))
            column = int(columns[0] + x * (columns[-1] + 1 - columns[0]))
            if free[row, column] and (column, row) not in seen:
                seen.add((column, row))
                yield column, row
