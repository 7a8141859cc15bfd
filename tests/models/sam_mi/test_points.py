"""Points lie in the middle of what the words mark, and where the prompter's heat peaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.preprocess import sam_letterbox
from models.sam_mi.cost_map import Evidence
from models.sam_mi.heat_points import points_at_peaks
from models.sam_mi.presets import tiny_preset
from models.sam_mi.region_points import find_regions, points_in_regions

SIDE = 16
SQUARE = sam_letterbox((64, 64), 64)
PRESET = replace(tiny_preset(), area_per_point=0.1)


def marked(*boxes: tuple[int, int, int, int, int]) -> Evidence:
    """Label and box x0, y0, x1, y1 of what the words mark, on a grid of 16."""
    labels = torch.full((2, SIDE, SIDE), 0.01)
    for label, x0, y0, x1, y1 in boxes:
        labels[label, y0:y1, x0:x1] = 0.9
    return Evidence(labels, 1 - labels.amax(dim=0))


def test_every_region_of_a_label_gets_a_point_in_its_middle():
    regions = find_regions(marked((0, 0, 0, 5, 5), (0, 9, 9, 14, 14), (1, 10, 0, 15, 3)), SQUARE, SIDE, PRESET)
    assert sorted(region.label for region in regions) == [0, 0, 1]
    points = points_in_regions(regions, SQUARE, SIDE, PRESET)
    cells = {tuple(cell) for cell in points.cells.astype(int).tolist()}
    assert {(2, 2), (11, 11)} <= cells
    assert len(cells) == 3
    for (column, row), around in zip(points.cells.astype(int), points.marked, strict=True):
        assert around[row, column]


def test_a_large_region_gets_several_points_apart():
    points = points_in_regions(find_regions(marked((0, 0, 0, 16, 8)), SQUARE, SIDE, PRESET), SQUARE, SIDE, PRESET)
    assert len(points.cells) == 6
    distances = np.linalg.norm(points.cells[:, None] - points.cells[None], axis=2) + 99 * np.eye(6)
    assert distances.min() >= 2


def test_specks_unsure_regions_and_padding_get_none():
    assert find_regions(marked((0, 0, 0, 1, 3)), SQUARE, SIDE, PRESET) == []
    assert find_regions(marked((0, 0, 0, 5, 5)), SQUARE, SIDE, replace(PRESET, region_confidence=0.95)) == []
    half = sam_letterbox((32, 64), 64)
    assert find_regions(marked((0, 0, 9, 5, 14)), half, SIDE, PRESET) == []


def test_there_are_never_more_points_than_allowed():
    regions = find_regions(marked((0, 0, 0, 16, 16)), SQUARE, SIDE, PRESET)
    assert len(points_in_regions(regions, SQUARE, SIDE, replace(PRESET, most_points=2)).cells) == 2


def test_few_points_are_filled_up_over_what_is_left_free():
    preset = replace(PRESET, fewest_points=8)
    none = points_in_regions([], SQUARE, SIDE, preset)
    assert len(none.cells) == 16
    assert not none.marked.any()
    some = points_in_regions(find_regions(marked((0, 0, 0, 8, 16)), SQUARE, SIDE, preset), SQUARE, SIDE, preset)
    extra = some.cells[~some.marked.any(axis=(1, 2))]
    assert (extra[:, 0] >= 8).all()
    assert len(points_in_regions([], SQUARE, SIDE, PRESET).cells) == 0


def heat(*peaks: tuple[int, int, float]) -> torch.Tensor:
    """Column, row and logit of cells that stand out, on a grid of 8."""
    logits = torch.full((8, 8), -6.0)
    for column, row, logit in peaks:
        logits[row, column] = logit
    return logits


def test_peaks_are_asked_best_first_and_not_too_close():
    regions = find_regions(marked((0, 0, 0, 4, 4)), SQUARE, SIDE, PRESET)
    points = points_at_peaks(heat((1, 1, 2.0), (6, 2, 4.0), (3, 6, -2.0)), regions, SQUARE, SIDE, PRESET)
    # Every cell of the heat is two by two of the point grid, all as hot: one of them is asked.
    assert (points.cells // 2).tolist() == [[6, 2], [1, 1]]
    assert not points.marked[0].any()
    assert points.marked[1].sum() == 16


def test_heat_beyond_the_image_is_not_asked():
    half = sam_letterbox((32, 64), 64)
    assert len(points_at_peaks(heat((3, 6, 4.0)), [], half, SIDE, PRESET).cells) == 0
    assert len(points_at_peaks(heat((3, 2, 4.0)), [], half, SIDE, PRESET).cells) == 1
