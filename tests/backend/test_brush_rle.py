"""Brush RLE there and back, against the SDK, the editor's own encoder and a compiled package; and all that is not RLE."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import label_studio_brush_rle_rs as rust
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from label_studio_sdk.converter import brush as sdk

from backend.brush_rle import RleError, decode, encode

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "brush_rle" / "rle_pack.json").read_text())
WIDTHS = (3, 4, 8, 16)

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))
alphas = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.sampled_from([0, 1, 127, 128, 255]))
chunks = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.lists(st.integers(0, 255), min_size=1, max_size=20)), min_size=1, max_size=40
)


def write_stream(
    pieces: Sequence[tuple[bool, int, list[int]]], widths: Sequence[int] = WIDTHS, word_bits: int = 8
) -> tuple[list[int], list[int]]:
    """A stream of the given chunks (run?, which width, words; a run repeats its first word) and the words it stands for."""
    words: list[int] = []
    body = ""
    for is_run, which, values in pieces:
        values = values[: 2 ** widths[which]]
        body += f"{is_run:b}{which:02b}{len(values) - 1:0{widths[which]}b}"
        body += "".join(f"{value:08b}" for value in (values[:1] if is_run else values))
        words += values[:1] * len(values) if is_run else values
    missing = -len(words) % 4
    if missing:  # so that the words make whole pixels
        body += f"000{missing - 1:0{widths[0]}b}" + "00000111" * missing
        words += [7] * missing
    head = f"{len(words):032b}{word_bits - 1:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    bits = head + body
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)], words


def with_header(rle: list[int], n_words: int) -> list[int]:
    return list(n_words.to_bytes(4, "big")) + rle[4:]


@given(masks)
def test_a_mask_survives_the_round_trip(mask: npt.NDArray[np.bool_]) -> None:
    assert np.array_equal(decode(encode(mask), mask.shape), mask * np.uint8(255))


@given(alphas)
def test_soft_alpha_survives_the_round_trip(alpha: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(decode(encode(alpha), alpha.shape), alpha)


@given(alphas)
def test_the_sdk_and_the_compiled_package_decode_what_is_encoded_here(alpha: npt.NDArray[np.uint8]) -> None:
    rle = encode(alpha)
    expected = np.repeat(alpha.ravel(), 4)
    assert np.array_equal(sdk.decode_rle(rle), expected)
    assert np.array_equal(rust.decode_rle(rle, False), expected)


@given(alphas)
def test_what_the_sdk_and_the_compiled_package_encode_is_decoded_here(alpha: npt.NDArray[np.uint8]) -> None:
    words = np.repeat(alpha.ravel(), 4)
    assert np.array_equal(decode(sdk.encode_rle(words), alpha.shape), alpha)
    assert np.array_equal(decode(rust.encode_rle(words, 8, list(WIDTHS)), alpha.shape), alpha)


@given(alphas)
def test_the_bytes_of_small_masks_are_those_of_the_sdk(alpha: npt.NDArray[np.uint8]) -> None:
    """The SDK closes an aligned stream with one byte of zeros that no reader needs; here there is none."""
    from_sdk = sdk.mask2rle(alpha)
    rle = encode(alpha)
    assert rle == from_sdk[: len(rle)]
    assert not any(from_sdk[len(rle) :])


@settings(deadline=None)
@given(chunks, st.permutations(WIDTHS))
def test_any_mixture_of_runs_and_literals_is_decoded_as_the_sdk_decodes_it(
    pieces: list[tuple[bool, int, list[int]]], widths: list[int]
) -> None:
    rle, words = write_stream(pieces, widths)
    assert sdk.decode_rle(rle).tolist() == words
    assert decode(rle, (1, len(words) // 4)).ravel().tolist() == words[3::4]


@pytest.mark.parametrize("name", sorted(RECORDED["streams"]))
def test_streams_of_the_editors_own_encoder_are_decoded(name: str) -> None:
    height, width = RECORDED["size_hw"]
    y, x = np.mgrid[:height, :width]
    expected = np.clip(900 - 3 * ((x - 30) ** 2 + 2 * (y - 21) ** 2), 0, 255)
    assert np.array_equal(decode(RECORDED["streams"][name], (height, width)), expected)


def test_only_the_last_of_a_pixels_four_words_counts() -> None:
    rle, _ = write_stream([(False, 0, [1, 2, 3, 200, 4, 5, 6, 0]), (True, 0, [9, 9, 9]), (False, 0, [77])])
    assert decode(rle, (1, 3)).tolist() == [[200, 0, 77]]


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 1), id="one pixel"),
        pytest.param((1, 16385), id="one more than the longest chunk"),
        pytest.param((128, 128), id="exactly the longest chunk"),
        pytest.param((300, 300), id="several longest chunks"),
    ],
)
@pytest.mark.parametrize("value", [False, True])
def test_long_runs_are_split_as_every_reader_expects(shape: tuple[int, int], value: bool) -> None:
    mask = np.full(shape, value)
    rle = encode(mask)
    assert np.array_equal(sdk.decode_rle(rle), np.repeat(mask.ravel() * np.uint8(255), 4))
    assert np.array_equal(decode(rle, shape), mask * np.uint8(255))
    assert len(rle) <= len(sdk.mask2rle(mask * np.uint8(255)))


def test_streams_longer_than_a_block_are_decoded() -> None:
    noise = np.random.default_rng(3).random((300, 400)) < 0.5
    rle = encode(noise)
    assert len(rle) > 2**16
    assert np.array_equal(decode(rle, noise.shape) >= 128, noise)
    rgba = np.random.default_rng(4).integers(0, 256, (100, 200, 4), dtype=np.uint8)
    literals, words = write_stream([(False, 3, rgba.ravel().tolist()[i : i + 30000]) for i in range(0, 80000, 30000)])
    assert len(literals) > 2**16
    assert np.array_equal(decode(literals, (100, 200)), rgba[..., 3])
    assert words == rgba.ravel().tolist()


@pytest.mark.parametrize("block", [1, 2, 5])
def test_the_size_of_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    alpha = np.random.default_rng(6).integers(0, 3, (30, 40), dtype=np.uint8)
    rle = encode(alpha)
    monkeypatch.setattr("backend.brush_rle._BLOCK_RUNS", block)
    monkeypatch.setattr("backend.brush_rle._BLOCK_BYTES", block)
    assert encode(alpha) == rle
    assert (decode(rle, (30, 40)) == alpha).all()


def test_a_slice_of_a_larger_array_is_encoded_as_its_copy() -> None:
    mask = np.random.default_rng(5).random((40, 60)) < 0.3
    assert encode(mask[::2, 5:50:3]) == encode(mask[::2, 5:50:3].copy())


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.zeros((2, 2), dtype=np.int64), id="integers"),
        pytest.param(np.zeros((2, 2), dtype=np.float32), id="floats"),
        pytest.param(np.zeros(4, dtype=np.bool_), id="one axis"),
        pytest.param(np.zeros((2, 2, 4), dtype=np.uint8), id="three axes"),
        pytest.param(np.zeros((0, 5), dtype=np.bool_), id="no pixel"),
        pytest.param(np.broadcast_to(np.False_, (2**15, 2**15)), id="word count above 32 bits"),
    ],
)
def test_encode_refuses_what_is_no_mask(mask: Any) -> None:
    with pytest.raises(RleError, match="expected bool or uint8"):
        encode(mask)


GOOD = encode(np.eye(8, dtype=np.bool_))


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        pytest.param([*GOOD[:9], -1, *GOOD[10:]], "below 0 at index 9", id="negative"),
        pytest.param([*GOOD[:9], 256, *GOOD[10:]], "above 255 at index 9", id="above 255"),
        pytest.param([*GOOD[:9], 10**5000, *GOOD[10:]], "above 255 at index 9", id="huge"),
        pytest.param([float(item) for item in GOOD], "a float at index 0", id="floats"),
        pytest.param([*GOOD[:9], float("nan")], "a float at index 9", id="not a number"),
        pytest.param([*GOOD, None], "NoneType at index", id="null"),
        pytest.param([GOOD], "a list at index 0", id="nested"),
        pytest.param([*GOOD, "0"], "a str at index", id="text inside"),
        pytest.param("0,0,1,0", "a str", id="text"),
        pytest.param(None, "NoneType", id="none"),
        pytest.param(7, "a int", id="number"),
        pytest.param({"rle": GOOD}, "a dict", id="object"),
        pytest.param(np.array(GOOD), "a ndarray", id="array"),
        pytest.param([], "too short", id="empty"),
        pytest.param(GOOD[:6], "too short", id="half a header"),
        pytest.param(GOOD[:7], "ends before", id="header only"),
        pytest.param(GOOD[:-4], "ends before", id="truncated"),
        pytest.param(with_header(GOOD, 4 * 63), "holds 252 words", id="fewer pixels than the image"),
        pytest.param(with_header(GOOD, 2**32 - 1), "holds 4294967295 words", id="a bomb"),
        pytest.param(with_header(encode(np.ones((9, 8), dtype=np.bool_)), 4 * 64), "runs past", id="a run that is too long"),
        pytest.param(write_stream([(True, 3, [1] * 256)], word_bits=16)[0], "words of 16 bits", id="wide words"),
    ],
)
def test_what_is_not_this_images_rle_is_refused_with_the_reason(rle: Any, message: str) -> None:
    with pytest.raises(RleError, match=message):
        decode(rle, (8, 8))


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_literal_cut_short_is_refused_however_many_bytes_are_missing(cut: int) -> None:
    rle, _ = write_stream([(False, 1, list(range(100, 116)))])
    with pytest.raises(RleError, match="ends before"):
        decode(rle[:-cut], (1, 4))


@pytest.mark.parametrize("size_hw", [(0, 4), (4, 0), (-1, -4)])
def test_an_image_without_pixels_is_refused(size_hw: tuple[int, int]) -> None:
    with pytest.raises(RleError, match="at least 1x1"):
        decode(GOOD, size_hw)


def test_what_follows_the_last_word_is_not_read() -> None:
    assert np.array_equal(decode([*GOOD, *range(256)], (8, 8)), decode(GOOD, (8, 8)))


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), max_size=60), st.booleans())
def test_random_bytes_give_an_image_or_an_rle_error(noise: list[int], with_good_header: bool) -> None:
    rle = GOOD[:6] + noise if with_good_header else noise
    try:
        alpha = decode(rle, (8, 8))
    except RleError:
        return
    assert alpha.shape == (8, 8)
    assert np.array_equal(sdk.decode_rle(rle)[3::4].reshape(8, 8), alpha)
