"""What tells images apart: their pixels, whatever file or address they came from."""

from __future__ import annotations

import hashlib

import numpy as np

from models.types import RgbImage


def image_digest(image: RgbImage) -> str:
    """Hex digest of an image's pixels and shape."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
