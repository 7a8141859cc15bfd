"""Maps move between CLIP's canvas, SAM's canvas and the image, and end where they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.preprocess import Letterbox, clip_letterbox, masks_to_image, sam_letterbox
from models.sam_mi.canvas import cells_to_image, end_at_border, image_cells, image_slices, move, resize

SIZES = [
    pytest.param((48, 64), id="landscape"),
    pytest.param((64, 16), id="1 to 4"),
    pytest.param((16, 64), id="4 to 1"),
    pytest.param((1, 4), id="1 x 4 pixels"),
    pytest.param((4, 1), id="4 x 1 pixels"),
    pytest.param((1, 300), id="one row"),
    pytest.param((1, 1), id="one pixel"),
]


@pytest.mark.parametrize("size_hw", SIZES)
def test_points_lie_on_the_image_and_on_the_unpadded_part_of_sams_canvas(size_hw):
    clip, sam = clip_letterbox(size_hw, 32), sam_letterbox(size_hw, 128)
    rows, columns = np.nonzero(image_cells(clip, 8).numpy())
    points = cells_to_image(np.stack([columns, rows], axis=1), clip, 8)
    assert len(points) > 0
    assert (points >= 0).all()
    assert (points <= np.array(size_hw[::-1]) - 1).all()
    on_sam = (points + 0.5) * np.array(sam.resized_hw[::-1]) / np.array(size_hw[::-1])
    assert (on_sam <= np.array(sam.resized_hw[::-1])).all()


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("place", ["centre", "top-left"])
def test_some_cells_always_show_the_image_and_they_form_a_rectangle(size_hw, place):
    letterbox = clip_letterbox(size_hw, 32, place)
    rows, columns = image_slices(letterbox, 4)
    cells = image_cells(letterbox, 4)
    assert cells.any()
    assert cells.sum() == cells[rows, columns].numel()


def test_a_cell_that_shows_a_sliver_of_the_image_counts():
    cells = image_cells(Letterbox((33, 64), (33, 64), 0, 0, 64), 4)
    assert cells[:3].all()
    assert not cells[3].any()


@pytest.mark.parametrize("size_hw", [(48, 64), (64, 40)])
def test_a_map_of_the_same_image_shows_the_same_on_both_canvases(size_hw):
    clip, sam = clip_letterbox(size_hw, 64), sam_letterbox(size_hw, 128)
    ramp = torch.linspace(0, 1, 64).expand(64, 64)[None]
    on_image = masks_to_image(ramp, sam)
    moved = masks_to_image(move(ramp, sam, clip, 64), clip)
    # The ramp of SAM's canvas starts elsewhere on CLIP's centred canvas, but over the image both are the same picture.
    torch.testing.assert_close(moved[:, 2:-2, 2:-2], on_image[:, 2:-2, 2:-2], atol=0.02, rtol=0)


def test_between_equal_canvases_nothing_is_interpolated():
    letterbox = sam_letterbox((48, 64), 64)
    maps = torch.randn(2, 16, 16)
    assert torch.equal(move(maps, letterbox, letterbox, 16), maps)
    assert torch.equal(resize(maps, 16), maps)


def test_on_the_way_down_maps_are_averaged_and_none_at_all_is_fine():
    maps = torch.arange(16.0).reshape(1, 4, 4)
    assert resize(maps, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    assert resize(maps[:0], 2).shape == (0, 2, 2)


def test_a_mask_up_to_the_border_of_the_image_stays_up_to_the_border():
    letterbox = sam_letterbox((40, 64), 64)
    everything = end_at_border(torch.ones(1, 16, 16), letterbox)
    assert (everything[0, :10] > 0).all()
    assert (everything[0, 10:] < 0).all()
    assert (masks_to_image(everything, letterbox) > 0).all()
