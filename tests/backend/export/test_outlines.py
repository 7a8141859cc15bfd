"""Outlines that keep holes: what COCO's own tools fill is the very mask, or there are no outlines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from scipy import ndimage

from backend.export.outlines import joined_outline, mask_to_polygons
from backend.shapes import ellipse_to_mask, polygon_to_mask
from tests.export_factories import ring_and_island

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools


def filled(polygons: list[list[float]], size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    decoded = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size_hw)))
    return np.asarray(decoded).astype(np.bool_)


@settings(deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_exact_outlines_give_back_the_very_mask(mask: npt.NDArray[np.bool_]) -> None:
    if not mask.any():
        return
    polygons = mask_to_polygons(mask, 0.0)
    assert polygons is not None
    assert np.array_equal(filled(polygons, mask.shape), mask)


def test_a_part_is_one_outline_with_its_holes() -> None:
    mask = ring_and_island()
    polygons = mask_to_polygons(mask, 0.0)
    assert polygons is not None
    assert len(polygons) == 3  # the ring, the island in its hole, the island apart


def test_tolerance_leaves_fewer_corners_within_its_distance() -> None:
    disc = ellipse_to_mask((60.0, 50.0), (45.0, 40.0), 20.0, (101, 127)) & ~ellipse_to_mask((60.0, 50.0), (20.0, 15.0), 0.0, (101, 127))
    exact, simple = mask_to_polygons(disc, 0.0), mask_to_polygons(disc, 2.0)
    assert exact is not None
    assert simple is not None
    assert len(simple[0]) < len(exact[0]) / 3
    wrong = filled(simple, disc.shape) ^ disc
    near_edge = ndimage.binary_dilation(disc, iterations=3) & ~ndimage.binary_erosion(disc, iterations=3)
    assert wrong.any()
    assert not (wrong & ~near_edge).any()


def test_dust_gets_no_outlines() -> None:
    assert mask_to_polygons(np.random.default_rng(0).random((200, 200)) < 0.5, 0.0) is None


@settings(deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=16)))
def test_one_outline_through_all_parts_covers_the_very_mask(mask: npt.NDArray[np.bool_]) -> None:
    if mask.any():
        outline = joined_outline(mask, 0.0).astype(np.float64)
        assert np.array_equal(polygon_to_mask(outline, mask.shape), mask)
