"""Which images training may see: decided by the image alone, once and for ever."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "val"]

VALIDATION_PERCENT = 20
"""Raising or lowering it moves images that training has seen into validation: never change it."""


def split_of(digest: str) -> Split:
    """The split of an image, the same in every project, on every machine and after every change of its annotations.

    Args:
        digest: hexadecimal, of the image's pixels, so that a second upload of an image cannot land on the other side.
    """
    return "val" if int(digest[:8], 16) % 100 < VALIDATION_PERCENT else "train"
