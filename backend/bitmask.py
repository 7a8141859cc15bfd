"""Label Studio's bitmask: a mask as an RGBA PNG inside a data URI, black, with the mask in the alpha channel."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_PREFIX = "data:image/png;base64,"


class BitmaskError(ValueError):
    """A bitmask that is not one, or does not belong to an image of the given size."""


def encode(mask: npt.NDArray[np.bool_]) -> str:
    """Encode a bool mask ``[H, W]`` as a data URI."""
    rgba = np.zeros((*mask.shape, 4), dtype=np.uint8)
    rgba[..., 3] = mask * np.uint8(255)
    buffer = BytesIO()
    Image.fromarray(rgba).save(buffer, format="PNG")
    return _PREFIX + base64.b64encode(buffer.getvalue()).decode("ascii")


def decode(data_uri: Any, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode a data URI to the alpha of every pixel.

    Returns:
        uint8 ``[H, W]``.

    Raises:
        BitmaskError: not a data URI of a PNG with alpha, damaged, or of another size than the image.
    """
    if not isinstance(data_uri, str) or not data_uri.startswith(_PREFIX):
        found = repr(data_uri[:30]) if isinstance(data_uri, str) else type(data_uri).__name__
        raise BitmaskError(f"expected imageDataURL to be a text beginning with {_PREFIX}, found {found}")
    height, width = size_hw
    try:
        with Image.open(BytesIO(base64.b64decode(data_uri[len(_PREFIX) :], validate=True)), formats=["PNG"]) as image:
            # Compared before any pixel is decoded: a small file may claim a huge image.
            alpha = np.asarray(image.convert("RGBA").getchannel("A")) if image.size == (width, height) else None
            found_size, has_alpha = f"{image.width}x{image.height}", image.has_transparency_data
    except (ValueError, OSError, EOFError, SyntaxError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise BitmaskError(f"the bitmask is no readable PNG ({error}); send imageDataURL whole") from error
    if alpha is None:
        raise BitmaskError(f"the bitmask has {found_size} pixels, the image {width}x{height}; draw the region again")
    if not has_alpha:
        raise BitmaskError("the bitmask has no alpha channel; expected an RGBA PNG as the editor writes it")
    return alpha
