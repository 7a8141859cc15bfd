"""How commands read the image file that somebody names."""

from __future__ import annotations

from pathlib import Path

from backend.errors import ImageUnavailable
from backend.image_decode import decode_image
from backend.settings import Settings
from models import RgbImage


def read_image(path: Path, settings: Settings) -> RgbImage:
    """Decode an image file within the limits of the settings.

    Raises:
        ImageUnavailable: it cannot be read, is none, or is too large.
    """
    try:
        size = path.stat().st_size
        if size > settings.image_max_bytes:
            limit = settings.image_max_bytes.human_readable()
            raise ImageUnavailable(f"the file has {size:,} bytes, more than {limit}; use a smaller file, or raise WORDMASK_IMAGE_MAX_BYTES")
        return decode_image(path.read_bytes(), max_pixels=settings.image_max_pixels)
    except OSError as error:
        raise ImageUnavailable(f"cannot read the image {path}: {error.strerror}") from error
    except ImageUnavailable as error:
        raise ImageUnavailable(f"{path}: {error}") from error
