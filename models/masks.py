"""Masks as COCO's compressed run-length code, both directions.

The code lists the lengths of alternating runs of 0 and 1, column by column, beginning with a (possibly empty) run of 0. From the
fourth run on a length is stored as its difference to the run two before it. Each number is written in groups of five bits, lowest
first, one printable character per group: bit 5 says that more groups follow, bit 4 of the last group is the sign.

COCO's own tools are the reference in tests; here they would not do: their decoder fills a short code up with unset memory.
"""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np
import numpy.typing as npt

from models.types import BoolMask

_FIRST_CHARACTER = 48
_BITS = 5
_MORE = 1 << _BITS
_SIGN = 1 << (_BITS - 1)
_LOW_BITS = _MORE - 1
_MOST_CHARACTERS = 7
"""Seven groups of five bits hold any run of a mask below 2**34 pixels."""


class CocoRle(TypedDict):
    """COCO's compressed RLE of one mask, ready for JSON: ``size`` is height and width."""

    size: list[int]
    counts: str


def mask_to_coco_rle(mask: BoolMask) -> CocoRle:
    """Encode a bool mask ``[H, W]``, byte for byte as COCO's own tools do.

    Raises:
        ValueError: the array is of another type or shape.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"a mask must be a bool array [H, W] with at least one pixel, found {mask.dtype} {mask.shape}")
    # As mask.ravel(order="F"), but OpenCV goes through memory in blocks: most of the time of an export was spent here.
    flat = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    leading = [0] if flat[0] else []
    runs = np.diff(np.concatenate([[0], leading, changes, [flat.size]])).astype(np.int64)
    return runs_to_coco_rle(runs, (mask.shape[0], mask.shape[1]))


def runs_to_coco_rle(runs: npt.NDArray[np.int64], size_hw: tuple[int, int]) -> CocoRle:
    """Compress COCO's uncompressed RLE.

    Args:
        runs: int64 ``[N]``, lengths of the runs, beginning with a (possibly empty) run of 0.
        size_hw: height and width of the mask.

    Raises:
        ValueError: a run is negative, or they do not fill the mask exactly.
    """
    _check_runs(runs, size_hw)
    numbers = runs.copy()
    numbers[3:] -= runs[1:-2]
    return {"size": [*size_hw], "counts": _write_numbers(numbers)}


def coco_rle_to_runs(rle: CocoRle) -> npt.NDArray[np.int64]:
    """The lengths of the runs, int64 ``[N]``; every second one, beginning with the second, is of pixels inside the mask.

    Raises:
        ValueError: the counts are not of this code, or their runs do not fill the mask exactly.
    """
    height, width = rle["size"]
    runs = _read_numbers(rle["counts"])
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    _check_runs(runs, (height, width))
    return runs


def coco_rle_to_mask(rle: CocoRle) -> BoolMask:
    """Decode to a bool mask ``[H, W]``.

    Raises:
        ValueError: the counts are not of this code, or their runs do not fill the mask exactly.
    """
    runs = coco_rle_to_runs(rle)
    return np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(rle["size"], order="F")


def _check_runs(runs: npt.NDArray[np.int64], size_hw: tuple[int, int]) -> None:
    pixels = size_hw[0] * size_hw[1]
    # Each by itself too: forged ones may be so long that their sum overflows to the right one.
    if ((runs < 0) | (runs > pixels)).any() or runs.sum() != pixels:
        raise ValueError(f"the runs of a COCO RLE must add up to {size_hw[0]} x {size_hw[1]} pixels, found {int(runs.sum())}")


def _write_numbers(numbers: npt.NDArray[np.int64]) -> str:
    characters = np.zeros((numbers.size, _MOST_CHARACTERS), np.uint8)
    is_used = np.zeros(characters.shape, bool)
    unfinished = np.ones(numbers.size, bool)
    for place in range(_MOST_CHARACTERS):
        group = numbers & _LOW_BITS
        numbers = numbers >> _BITS
        rest_of_sign = np.where(group & _SIGN, -1, 0)
        is_used[:, place] = unfinished
        unfinished = unfinished & (numbers != rest_of_sign)
        characters[:, place] = group + unfinished * _MORE + _FIRST_CHARACTER
    text: str = characters[is_used].tobytes().decode("ascii")
    return text


def _read_numbers(text: str) -> npt.NDArray[np.int64]:
    groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if groups.size == 0 or ((groups < 0) | (groups >= 2 * _MORE)).any() or groups[-1] & _MORE:
        raise ValueError(f"not the counts of a compressed COCO RLE: {text[:40]!r}")
    is_last = (groups & _MORE) == 0
    starts = np.concatenate([[0], np.flatnonzero(is_last)[:-1] + 1])
    lengths = np.diff(np.concatenate([starts, [groups.size]]))
    if lengths.max() > _MOST_CHARACTERS:
        raise ValueError(f"a number in a COCO RLE has {lengths.max()} characters, expected at most {_MOST_CHARACTERS}")
    places = np.arange(groups.size) - np.repeat(starts, lengths)
    numbers: npt.NDArray[np.int64] = np.add.reduceat((groups & _LOW_BITS) << (_BITS * places), starts)
    numbers -= np.where(groups[is_last] & _SIGN, np.int64(1) << (_BITS * lengths), 0)
    return numbers
