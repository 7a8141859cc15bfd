"""Bytes of an image file to RGB pixels, as the editor in the browser shows them; every other kind of bytes to a reason why not."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile

from backend.errors import ImageUnavailable
from backend.jpeg_scans import MOST_SCANS, count_scans
from models import RgbImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF")
"""What browsers show, and TIFF. Not all that Pillow could open: its EPS reader, for one, runs a program."""

_STRIP_PIXELS = 1 << 16
"""So few that a strip and its copies stay in the processor's cache."""


def decode_image(body: bytes, *, max_pixels: int) -> RgbImage:
    """Decode the first frame of an image file.

    Turned as its EXIF orientation says, where browsers heed it. Transparent pixels lie on white, 16-bit grey is divided by 257 (full
    range to full range, nothing stretched), CMYK is converted without a colour profile.

    Args:
        body: the file.
        max_pixels: largest width x height; more is refused before anything is decoded.

    Returns:
        uint8 ``[H, W, 3]``.

    Raises:
        ImageUnavailable: the bytes are no image of a known format, are damaged, or have too many pixels.
    """
    if not body:
        raise ImageUnavailable("the file is empty (0 bytes); import it again")
    try:
        with _open(body) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageUnavailable(
                    f"the image has {width} x {height} pixels, more than {max_pixels:,}; "
                    "make it smaller, or raise WORDMASK_IMAGE_MAX_PIXELS"
                )
            if image.format in ("JPEG", "MPO") and (scans := count_scans(body)) > MOST_SCANS:
                raise ImageUnavailable(f"the JPEG file is made of {scans} scans, more than {MOST_SCANS}; save it again as a usual one")
            image.load()
            return _to_rgb(image)
    except ImageUnavailable:
        raise
    except Image.DecompressionBombError as error:  # what remains of Pillow's own limit, in its readers of GIF and WebP
        raise ImageUnavailable("the image has more pixels than its format's reader takes; make it smaller, or save it as PNG") from error
    except MemoryError as error:
        raise ImageUnavailable("the image does not fit into memory; lower WORDMASK_IMAGE_MAX_PIXELS or use a smaller image") from error
    except Exception as error:  # Pillow's readers fail in dozens of ways on bytes that somebody else chose
        raise ImageUnavailable(f"the image file is damaged or cut short ({type(error).__name__}); import it again") from error


def _open(body: bytes) -> ImageFile.ImageFile:
    """Read the header of an image file.

    ``Image.open`` would do, but for its guard against huge images: that limit is one for the whole process, warns at half of it, and
    cannot follow a setting. The readers behind it have no limit, and :func:`decode_image` checks the size before it decodes.
    """
    Image.init()
    for name in FORMATS:
        if name not in Image.OPEN:  # AVIF is optional in Pillow
            continue
        reader, accepts = Image.OPEN[name]
        if accepts is None or accepts(body[:16]) is True:
            return reader(BytesIO(body), "")
    raise ImageUnavailable(f"{_kind_of(body)}; wanted is an image file ({', '.join(FORMATS)})")


def _kind_of(body: bytes) -> str:
    """What bytes that are no image probably are."""
    start = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "the file is an SVG drawing, which has no pixels; export it as PNG"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page came instead of an image, perhaps a log-in or error page; open the address in a browser"
    if start.startswith((b"{", b"[")):
        return "JSON came instead of an image"
    if start.startswith(b"%pdf"):
        return "the file is a PDF document; export its pages as PNG"
    return f"the file starts with bytes {body[:8].hex(' ')}, which no known image format does"


def _to_rgb(image: Image.Image) -> RgbImage:
    """Convert in strips, each turned while it is written: beside the decoded file there is never a second image of full size."""
    width, height = image.size
    orientation = _orientation(image)
    rgb = np.empty((width, height, 3) if orientation in (5, 6, 7, 8) else (height, width, 3), dtype=np.uint8)
    stored = _as_stored(rgb, orientation)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        stored[top:bottom] = _strip_to_rgb(image.crop((0, top, width, bottom)))
    return rgb


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8 that browsers apply: measured with Chromium, they ignore it in WebP, and XMP everywhere."""
    if image.format == "WEBP":
        return 1
    exif = Image.Exif()
    with suppress(Exception):  # a broken EXIF block hides no picture
        exif.load(image.info.get("exif") or b"")  # not getexif(), which falls back to XMP
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _as_stored(rgb: RgbImage, orientation: int) -> RgbImage:
    """A view of the upright image ``rgb`` in the row and column order of the file (EXIF 2.32, tag 0x0112)."""
    turned = rgb.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else rgb
    flip_rows = slice(None, None, -1 if orientation in (3, 4, 6, 7) else 1)
    flip_columns = slice(None, None, -1 if orientation in (2, 3, 7, 8) else 1)
    return turned[flip_rows, flip_columns]


def _strip_to_rgb(strip: Image.Image) -> npt.NDArray[np.uint8]:
    if strip.mode.startswith("I"):  # I;16 and its byte orders, or I, which readers fill with 16-bit values
        grey = np.clip(np.asarray(strip, dtype=np.int32), 0, 65535)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
    if strip.mode == "F":
        raise ImageUnavailable("the pixels are floating point numbers without a defined white; save the image with 8 or 16 bits")
    if strip.has_transparency_data:
        white = Image.new("RGBA", strip.size, "white")
        white.alpha_composite(strip.convert("RGBA"))
        strip = white
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
