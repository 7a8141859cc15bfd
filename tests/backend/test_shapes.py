"""Outlines of masks and the pixels inside outlines, by the same rule in both directions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from backend.shapes import ellipse_to_mask, mask_to_rings, polygon_to_mask, rectangle_to_ring


def drawn(*rows: str) -> npt.NDArray[np.bool_]:
    """A mask from rows of text in which ``#`` is covered."""
    return np.array([[character == "#" for character in row] for row in rows])


def fill(mask: npt.NDArray[np.bool_], tolerance: float = 0.0) -> npt.NDArray[np.bool_]:
    filled = np.zeros_like(mask)
    for ring in mask_to_rings(mask, tolerance):
        filled |= polygon_to_mask(ring, mask.shape)
    return filled


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_filling_the_exact_rings_gives_the_mask_with_its_holes_filled(mask: npt.NDArray[np.bool_]) -> None:
    without_holes = ndimage.binary_fill_holes(mask)  # a hole is what no path over edges leads out of, so parts may touch at corners
    assert np.array_equal(fill(mask), without_holes)


@pytest.mark.parametrize(
    ("mask", "corners"),
    [
        pytest.param(drawn("#"), [4], id="one pixel that is the image"),
        pytest.param(drawn("...", ".#.", "..."), [4], id="one pixel"),
        pytest.param(drawn("####", "####"), [4], id="everything"),
        pytest.param(drawn("#...", "##.."), [6], id="a step"),
        pytest.param(drawn("###.##", "#.#.##", "###..."), [4, 4], id="a hole and an island"),
        pytest.param(drawn("...", "..."), [], id="nothing"),
    ],
)
def test_exact_rings_have_the_corners_of_the_mask_and_come_largest_first(mask: npt.NDArray[np.bool_], corners: list[int]) -> None:
    assert [len(ring) for ring in mask_to_rings(mask, 0)] == corners


def test_small_parts_are_left_out_on_request() -> None:
    mask = drawn("####....", "####..##", "####....", "####...#")
    assert len(mask_to_rings(mask, 0)) == 3
    assert len(mask_to_rings(mask, 0, smallest_share=0.1)) == 2
    assert len(mask_to_rings(mask, 0, smallest_share=0.2)) == 1


def test_tolerance_leaves_few_corners_and_almost_the_same_mask() -> None:
    disc = ellipse_to_mask((61.5, 47.0), (40.0, 30.0), 20.0, (101, 127))
    exact, simple = mask_to_rings(disc, 0)[0], mask_to_rings(disc, 1.0)[0]
    assert len(simple) < len(exact) / 3
    assert np.count_nonzero(fill(disc, 1.0) ^ disc) < 0.03 * np.count_nonzero(disc)


def test_a_small_part_keeps_its_corners_whatever_the_tolerance() -> None:
    assert np.array_equal(fill(drawn("....", ".#..", "...."), 5.0), drawn("....", ".#..", "...."))


def test_a_pixel_belongs_to_a_polygon_when_its_centre_does() -> None:
    triangle = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    assert np.array_equal(polygon_to_mask(triangle, (4, 4)), drawn("###.", "##..", "#...", "...."))


def test_what_lies_off_the_image_is_cut() -> None:
    ring = np.array([[-1000.0, 1.0], [1000.0, 1.0], [1000.0, 2.0], [-1000.0, 2.0]])
    assert np.array_equal(polygon_to_mask(ring, (3, 3)), drawn("...", "###", "..."))


def test_what_an_outline_covers_twice_is_not_covered() -> None:
    inner = [[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]]
    ring = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0], *inner, [1.0, 1.0]])
    assert np.array_equal(polygon_to_mask(ring, (4, 4)), drawn("####", "#..#", "#..#", "####"))


def test_an_outline_without_area_covers_nothing() -> None:
    assert not polygon_to_mask(np.array([[1.0, 1.0], [3.0, 3.0]]), (4, 4)).any()


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        pytest.param(0, drawn(".....", "..###", "....."), id="upright"),
        pytest.param(90, drawn(".....", ".#...", ".#..."), id="quarter turn clockwise about the top left corner"),
        pytest.param(-90, drawn("..#..", ".....", "....."), id="quarter turn back, mostly off the image"),
    ],
)
def test_a_rectangle_turns_about_its_top_left_corner(rotation: float, expected: npt.NDArray[np.bool_]) -> None:
    ring = rectangle_to_ring((2.0, 1.0), (3.0, 1.0), rotation)
    assert np.array_equal(polygon_to_mask(ring, (3, 5)), expected)


def test_an_ellipse_turns_clockwise_about_its_centre() -> None:
    flat = ellipse_to_mask((10.0, 10.0), (8.0, 2.0), 0.0, (20, 20))
    assert flat[10].sum() == 16
    assert flat[:, 10].sum() == 4
    assert np.array_equal(ellipse_to_mask((10.0, 10.0), (8.0, 2.0), 90.0, (20, 20)), flat.T)
    falling = ellipse_to_mask((10.0, 10.0), (8.0, 2.0), 45.0, (20, 20))
    assert falling[14, 14]
    assert not falling[14, 6]
