"""COCO RLE: byte for byte what COCO's own tools write, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from models.masks import coco_rle_to_mask, coco_rle_to_runs, mask_to_coco_rle, runs_to_coco_rle

RADIUS = np.hypot(*np.mgrid[-40:41, -60:61])


def encoded_by_coco(mask: np.ndarray) -> dict:
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.zeros((5, 7), bool), id="empty"),
        pytest.param(np.ones((5, 7), bool), id="full"),
        pytest.param(np.ones((1, 1), bool), id="one pixel image"),
        pytest.param(np.arange(35).reshape(5, 7) == 0, id="first pixel only"),
        pytest.param(np.arange(35).reshape(5, 7) == 34, id="last pixel only"),
        pytest.param((RADIUS < 35) & (RADIUS > 20), id="ring with a hole"),
        pytest.param(((RADIUS < 35) & (RADIUS > 20))[::2, ::3], id="view with strides"),
        pytest.param(np.random.default_rng(3).random((61, 83)) < 0.5, id="noise"),
        pytest.param(np.arange(3_000_000).reshape(1000, 3000) > 2_999_990, id="long runs"),
    ],
)
def test_coding_equals_that_of_cocos_own_tools(mask):
    rle = mask_to_coco_rle(mask)
    assert rle == encoded_by_coco(mask)
    assert np.array_equal(coco_rle_to_mask(rle), mask)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_mask_is_coded_as_by_cocos_own_tools(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    rle = mask_to_coco_rle(mask)
    assert rle == encoded_by_coco(mask)
    assert np.array_equal(coco_rle_to_mask(rle), mask)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=30), st.integers(1, 9))
def test_runs_are_compressed_as_by_cocos_own_tools(runs, width):
    runs = [*runs, (-sum(runs)) % width + width]
    size = [sum(runs) // width, width]
    rle = runs_to_coco_rle(np.array(runs), (size[0], width))
    assert rle == {"size": size, "counts": coco.frPyObjects({"size": size, "counts": runs}, *size)["counts"].decode("ascii")}
    assert coco_rle_to_runs(rle).tolist() == runs


@pytest.mark.parametrize("runs", [[3], [5], [6, -2], [2**62, 2**62, 2**62, 2**62, 4]], ids=["too few", "too many", "negative", "overflow"])
def test_runs_that_do_not_fill_the_mask_are_refused(runs):
    with pytest.raises(ValueError, match="2 x 2 pixels"):
        runs_to_coco_rle(np.array(runs), (2, 2))


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.zeros((2, 2), np.uint8), id="not bool"),
        pytest.param(np.zeros((2, 2, 1), bool), id="three axes"),
        pytest.param(np.zeros((0, 2), bool), id="no pixel"),
    ],
)
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(ValueError, match="bool array"):
        mask_to_coco_rle(mask)


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param("", id="no counts"),
        pytest.param("5", id="too many pixels"),
        pytest.param("2", id="too few pixels"),
        pytest.param("1O3", id="a negative run"),
        pytest.param("T", id="last number unfinished"),
        pytest.param("!", id="not a character of the code"),
        pytest.param("4ü", id="not ASCII"),
        pytest.param("o" * 20 + "0", id="a number without end"),
    ],
)
def test_broken_codes_are_refused(counts):
    with pytest.raises(ValueError, match=r"COCO RLE|ascii"):
        coco_rle_to_mask({"size": [2, 2], "counts": counts})
