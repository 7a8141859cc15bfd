"""One mask into separate objects, with a made-up answer to each click."""

from __future__ import annotations

import numpy as np
import pytest

from models.ssp_sam.instances import MOST_PARTS, connected_parts, deepest_pixel, split_instances


def canvas(*rectangles: tuple[int, int, int, int], size_hw: tuple[int, int] = (60, 80)) -> np.ndarray:
    """A mask with the rectangles ``x0, y0, x1, y1`` filled."""
    mask = np.zeros(size_hw, bool)
    for x0, y0, x1, y1 in rectangles:
        mask[y0:y1, x0:x1] = True
    return mask


def objects(*masks: np.ndarray):
    """Answers a click with the first of the masks that contains it, and remembers the clicks."""
    clicks = []

    def clicked(points):
        clicks.extend(map(tuple, points.tolist()))
        return [next((m for m in masks if m[int(y), int(x)]), np.zeros_like(masks[0])) for x, y in points]

    return clicked, clicks


def never(points):
    raise AssertionError("a mask of one part needs no click")


LEFT, RIGHT, SMALL = (5, 5, 25, 40), (50, 10, 70, 40), (30, 50, 40, 58)


def test_parts_that_are_different_objects_come_apart_largest_first():
    clicked, clicks = objects(canvas(SMALL), canvas(LEFT), canvas(RIGHT))
    parts = split_instances(canvas(SMALL, RIGHT, LEFT), clicked, min_area=1)
    assert [part.sum() for part in parts] == [700, 600, 80]
    assert np.array_equal(np.logical_or.reduce(parts), canvas(LEFT, RIGHT, SMALL))
    assert sum(part.astype(int) for part in parts).max() == 1
    assert len(clicks) == 3


def test_parts_of_one_object_stay_together():
    clicked, _ = objects(canvas(LEFT, RIGHT))
    (whole,) = split_instances(canvas(LEFT, RIGHT), clicked, min_area=1)
    assert np.array_equal(whole, canvas(LEFT, RIGHT))


def test_an_answer_that_covers_little_of_a_neighbour_does_not_swallow_it():
    x0, y0, x1, y1 = RIGHT
    clicked, _ = objects(canvas(LEFT, (x0, y0, x0 + (x1 - x0) // 2, y1)), canvas(RIGHT))
    assert len(split_instances(canvas(LEFT, RIGHT), clicked, min_area=1)) == 2


def test_a_part_whose_own_click_finds_nothing_still_comes_out():
    clicked, _ = objects(canvas(LEFT))
    parts = split_instances(canvas(LEFT, RIGHT), clicked, min_area=1)
    assert [part.sum() for part in parts] == [700, 600]


def test_groups_are_ordered_by_their_whole_size():
    clicked, _ = objects(canvas(LEFT), canvas(RIGHT, SMALL))
    parts = split_instances(canvas(LEFT, RIGHT, SMALL), clicked, min_area=1)
    assert [part.sum() for part in parts] == [700, 680]


@pytest.mark.parametrize(
    ("mask", "count"),
    [
        pytest.param(canvas(), 0, id="empty"),
        pytest.param(canvas(LEFT), 1, id="one part"),
        pytest.param(np.ones((60, 80), bool), 1, id="all of the image"),
        pytest.param(canvas((0, 0, 1, 1), size_hw=(1, 1)), 1, id="one pixel"),
        pytest.param(canvas(LEFT, (50, 50, 52, 52)), 1, id="a speck beside a part"),
        pytest.param(canvas((0, 0, 5, 5), (5, 5, 10, 10)), 1, id="two squares that touch at a corner"),
    ],
)
def test_one_part_or_none_asks_for_no_click(mask, count):
    assert len(split_instances(mask, never, min_area=1)) == count


def test_parts_below_the_smallest_area_are_dropped():
    assert split_instances(canvas(SMALL), never, min_area=81) == []
    assert len(split_instances(canvas(SMALL), never, min_area=80)) == 1


def test_a_checkerboard_of_specks_gives_a_bounded_number_of_parts():
    mask = np.zeros((80, 80), bool)
    mask[::4, ::4] = True
    assert mask.sum() > MOST_PARTS
    assert len(connected_parts(mask, min_area=1)) == MOST_PARTS


@pytest.mark.parametrize(
    ("mask", "pixel"),
    [
        pytest.param(canvas((10, 20, 21, 31)), (15, 25), id="square"),
        pytest.param(canvas((0, 0, 11, 60)), (5, 5), id="at the edge of the image, which counts as a border"),
        pytest.param(canvas((79, 59, 80, 60)), (79, 59), id="one pixel in the corner"),
    ],
)
def test_a_click_lands_deep_inside(mask, pixel):
    assert deepest_pixel(mask) == pixel


def test_a_click_on_a_ring_lands_on_the_ring():
    ring = canvas((10, 10, 50, 50)) & ~canvas((20, 20, 40, 40))
    x, y = deepest_pixel(ring)
    assert ring[y, x]
