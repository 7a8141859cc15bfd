"""COCO RLE against COCO's own tools, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from models.masks import coco_rle_to_mask, mask_to_coco_rle

RANDOM = np.random.default_rng(3)
RING = np.hypot(*np.mgrid[-40:41, -60:61])

MASKS = [
    pytest.param(np.zeros((5, 7), bool), id="empty"),
    pytest.param(np.ones((5, 7), bool), id="full"),
    pytest.param(np.eye(1, 1, dtype=bool), id="one pixel image"),
    pytest.param(np.arange(35).reshape(5, 7) == 0, id="first pixel only"),
    pytest.param(np.arange(35).reshape(5, 7) == 34, id="last pixel only"),
    pytest.param((RING < 35) & (RING > 20), id="ring with a hole"),
    pytest.param(RANDOM.random((61, 83)) < 0.5, id="noise"),
    pytest.param(np.arange(3_000_000).reshape(1000, 3000) > 2_999_990, id="long runs"),
]


@pytest.mark.parametrize("mask", MASKS)
def test_encoding_equals_the_one_of_cocos_own_tools(mask):
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert mask_to_coco_rle(mask) == {"size": list(mask.shape), "counts": theirs["counts"].decode("ascii")}


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_survives_coding_and_decoding(mask):
    assert np.array_equal(coco_rle_to_mask(mask_to_coco_rle(mask)), mask)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_mask_survives_coding_and_decoding(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(coco_rle_to_mask(mask_to_coco_rle(mask)), mask)


@pytest.mark.parametrize(
    "rle",
    [
        pytest.param({"size": [2, 2], "counts": ""}, id="no counts"),
        pytest.param({"size": [2, 2], "counts": "5"}, id="too many pixels"),
        pytest.param({"size": [2, 2], "counts": "2"}, id="too few pixels"),
        pytest.param({"size": [2, 2], "counts": "T"}, id="last number unfinished"),
        pytest.param({"size": [2, 2], "counts": "!"}, id="not a character of the code"),
        pytest.param({"size": [2, 2], "counts": "o" * 20 + "0"}, id="a number without end"),
    ],
)
def test_broken_codes_are_refused(rle):
    with pytest.raises(ValueError, match="COCO RLE"):
        coco_rle_to_mask(rle)


def test_a_mask_of_another_type_is_refused():
    with pytest.raises(ValueError, match="bool array"):
        mask_to_coco_rle(np.zeros((2, 2), np.uint8))
