"""Bitmask data URIs there and back, and all that is none."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.bitmask import BitmaskError, decode, encode

PREFIX = "data:image/png;base64,"
MASK = np.random.default_rng(0).random((5, 7)) < 0.5


def as_uri(image: Image.Image, kind: str = "PNG") -> str:
    buffer = BytesIO()
    image.save(buffer, format=kind)
    return PREFIX + base64.b64encode(buffer.getvalue()).decode()


def test_a_mask_survives_the_round_trip() -> None:
    assert np.array_equal(decode(encode(MASK), MASK.shape), MASK * np.uint8(255))


def test_the_png_is_black_and_covers_the_whole_image() -> None:
    with Image.open(BytesIO(base64.b64decode(encode(MASK).removeprefix(PREFIX)))) as image:
        assert (image.mode, image.size) == ("RGBA", (7, 5))
        assert not np.asarray(image)[..., :3].any()


def test_soft_alpha_is_read_as_it_is() -> None:
    alpha = np.arange(35, dtype=np.uint8).reshape(5, 7)
    rgba = np.dstack([np.full((5, 7, 3), 9, np.uint8), alpha])
    assert np.array_equal(decode(as_uri(Image.fromarray(rgba)), (5, 7)), alpha)


def test_a_file_that_claims_a_huge_image_is_refused_unread() -> None:
    huge = encode(np.zeros((1, 1), dtype=np.bool_))
    png = bytearray(base64.b64decode(huge.removeprefix(PREFIX)))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(BitmaskError):
        decode(PREFIX + base64.b64encode(png).decode(), (5, 7))


@pytest.mark.parametrize(
    ("data_uri", "message"),
    [
        pytest.param(None, "found NoneType", id="none"),
        pytest.param(10**5000, "found int", id="number"),
        pytest.param("iVBORw0KGgo=", "found 'iVBORw0KGgo='", id="no prefix"),
        pytest.param("data:image/jpeg;base64,AAAA", "beginning with", id="other type"),
        pytest.param("file:///etc/passwd", "beginning with", id="path"),
        pytest.param(PREFIX + "!!!", "no readable PNG", id="no base64"),
        pytest.param(PREFIX + "犬", "no readable PNG", id="not ascii"),
        pytest.param(PREFIX, "no readable PNG", id="empty"),
        pytest.param(PREFIX + base64.b64encode(b"GIF89a").decode(), "no readable PNG", id="no png"),
        pytest.param(as_uri(Image.new("RGB", (7, 5)), "JPEG"), "no readable PNG", id="jpeg inside"),
        pytest.param(encode(np.random.default_rng(1).random((5, 7)) < 0.5)[:100], "no readable PNG", id="truncated"),
        pytest.param(encode(np.ones((7, 5), dtype=np.bool_)), "has 5x7 pixels, the image 7x5", id="other size"),
        pytest.param(as_uri(Image.new("RGB", (7, 5))), "no alpha channel", id="no alpha"),
        pytest.param(as_uri(Image.new("1", (7, 5))), "no alpha channel", id="black and white"),
    ],
)
def test_what_is_not_this_images_bitmask_is_refused_with_the_reason(data_uri: Any, message: str) -> None:
    with pytest.raises(BitmaskError, match=message):
        decode(data_uri, (5, 7))


@pytest.mark.parametrize("place", range(8, 80))
def test_a_damaged_png_gives_an_image_of_the_right_size_or_a_bitmask_error(place: int) -> None:
    png = bytearray(base64.b64decode(encode(MASK).removeprefix(PREFIX)))
    png[place % len(png)] ^= 0xFF
    try:
        alpha = decode(PREFIX + base64.b64encode(png).decode(), MASK.shape)
    except BitmaskError:
        return
    assert alpha.shape == MASK.shape
