from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from backend.errors import ImageUnavailable
from backend.image_decode import decode_image
from backend.jpeg_scans import count_scans

LIMIT = 1_000_000


def encode(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=format_, **options)
    return buffer.getvalue()


def make_picture(size_wh: tuple[int, int] = (5, 3)) -> Image.Image:
    """Every pixel of its own colour, so that a turn or a swap of channels shows."""
    width, height = size_wh
    pixels = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3) * 5 % 256
    return Image.fromarray(pixels.astype(np.uint8))


def test_rgb_pixels_arrive_unchanged() -> None:
    picture = make_picture()
    assert np.array_equal(decode_image(encode(picture), max_pixels=LIMIT), np.asarray(picture))


def test_image_of_several_strips_arrives_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = make_picture((7, 23))
    monkeypatch.setattr("backend.image_decode._STRIP_PIXELS", 30)
    assert np.array_equal(decode_image(encode(picture), max_pixels=LIMIT), np.asarray(picture))


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_pillow_does(orientation: int, format_: str) -> None:
    body = encode(make_picture(), format_, exif=oriented(orientation))
    expected = ImageOps.exif_transpose(Image.open(BytesIO(body)))
    assert np.array_equal(decode_image(body, max_pixels=LIMIT), np.asarray(expected))


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(encode(make_picture(), "WEBP", exif=oriented(6)), id="WebP"),
        pytest.param(encode(make_picture(), "JPEG", xmp=XMP), id="orientation in XMP alone"),
        pytest.param(encode(make_picture(), "PNG", exif=oriented(9)), id="impossible orientation"),
        pytest.param(encode(make_picture(), "PNG", exif=b"no exif"), id="broken EXIF"),
    ],
)
def test_orientation_that_browsers_ignore_is_ignored(body: bytes) -> None:
    assert decode_image(body, max_pixels=LIMIT).shape == (3, 5, 3)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(Image.new("L", (2, 2), 77), (77, 77, 77), id="grey"),
        pytest.param(Image.new("1", (2, 2), 1), (255, 255, 255), id="one bit"),
        pytest.param(Image.new("LA", (2, 2), (77, 0)), (255, 255, 255), id="transparent grey lies on white"),
        pytest.param(Image.new("RGBA", (2, 2), (200, 10, 10, 255)), (200, 10, 10), id="opaque alpha"),
        pytest.param(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), (255, 255, 255), id="transparent black lies on white"),
        pytest.param(Image.new("RGB", (2, 2), (9, 99, 199)).convert("P", palette=Image.Palette.ADAPTIVE), (9, 99, 199), id="palette"),
        pytest.param(Image.fromarray(np.full((2, 2), 65535, np.uint16)), (255, 255, 255), id="16 bit white"),
        pytest.param(Image.fromarray(np.full((2, 2), 257 * 40, np.uint16)), (40, 40, 40), id="16 bit grey is divided by 257"),
    ],
)
def test_every_png_mode_becomes_rgb(image: Image.Image, expected: tuple[int, int, int]) -> None:
    rgb = decode_image(encode(image), max_pixels=LIMIT)
    assert rgb.shape == (2, 2, 3)
    assert rgb.dtype == np.uint8
    assert (rgb == expected).all()


def test_palette_with_a_transparent_colour_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putdata([0, 1])
    assert decode_image(encode(image, transparency=0), max_pixels=LIMIT).tolist() == [[[255, 255, 255], [10, 20, 30]]]


def test_cmyk_jpeg_becomes_rgb() -> None:
    rgb = decode_image(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), max_pixels=LIMIT)
    assert np.abs(rgb.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_16_bit_tiff_is_read_in_its_byte_order(byte_order: str) -> None:
    image = Image.fromarray(np.full((2, 2), 257 * 3, np.dtype(byte_order)))
    assert (decode_image(encode(image, "TIFF"), max_pixels=LIMIT) == 3).all()


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(format_: str) -> None:
    red, blue = Image.new("RGB", (4, 4), (255, 0, 0)), Image.new("RGB", (4, 4), (0, 0, 255))
    options = {"lossless": True} if format_ == "WEBP" else {}
    body = encode(red, format_, save_all=True, append_images=[blue], duration=50, **options)
    assert (decode_image(body, max_pixels=LIMIT) == (255, 0, 0)).all()


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "BMP", "AVIF"])
def test_formats_of_browsers_are_read(format_: str) -> None:
    rgb = decode_image(encode(Image.new("RGB", (16, 16), (120, 130, 140)), format_), max_pixels=LIMIT)
    assert np.abs(rgb.astype(int) - (120, 130, 140)).max() <= 4


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(b"\n<!DOCTYPE html><title>Log in</title>", "web page came instead", id="web page"),
        pytest.param(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG drawing", id="SVG"),
        pytest.param(b'{"detail": "no"}', "JSON came instead", id="JSON"),
        pytest.param(b"%PDF-1.7", "PDF", id="PDF"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "no known image format", id="EPS"),
        pytest.param(b"hello", "68 65 6c 6c 6f, which no known image format", id="text"),
        pytest.param(encode(make_picture((64, 64)))[:100], "damaged or cut short", id="cut PNG"),
        pytest.param(encode(make_picture((64, 64)), "JPEG")[:-200], "damaged or cut short", id="cut JPEG"),
        pytest.param(encode(make_picture())[:20], "damaged or cut short", id="PNG without header"),
        pytest.param(encode(Image.new("F", (2, 2), 0.5), "TIFF"), "floating point", id="float TIFF"),
    ],
)
def test_bytes_that_are_no_image_are_named(body: bytes, says: str) -> None:
    with pytest.raises(ImageUnavailable, match=says):
        decode_image(body, max_pixels=LIMIT)


def test_too_many_pixels_are_refused_before_decoding() -> None:
    with pytest.raises(ImageUnavailable, match=r"1000 x 1001 pixels, more than 1,000,000; .*WORDMASK_IMAGE_MAX_PIXELS"):
        decode_image(encode(Image.new("1", (1000, 1001))), max_pixels=LIMIT)


def test_a_frame_larger_than_the_screen_of_a_gif_counts() -> None:
    body = bytearray(encode(Image.new("P", (4, 4)), "GIF"))
    frame = body.index(b"\x2c", 13)
    body[frame + 5 : frame + 9] = b"\xff" * 4
    with pytest.raises(ImageUnavailable, match="more pixels"):
        decode_image(bytes(body), max_pixels=LIMIT)


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    body = encode(make_picture((64, 64)), "JPEG", progressive=True)
    last = body.rindex(b"\xff\xc4")  # the tables of the last scan, then the scan itself
    forged = body[:-2] + body[last:-2] * 200 + body[-2:]
    with pytest.raises(ImageUnavailable, match=r"made of 2\d\d scans, more than 100"):
        decode_image(forged, max_pixels=LIMIT)
    assert decode_image(body, max_pixels=LIMIT).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("options", "scans"),
    [
        pytest.param({}, 1, id="baseline"),
        pytest.param({"progressive": True}, 10, id="progressive"),
        pytest.param({"restart_marker_blocks": 1}, 1, id="restart markers"),
        pytest.param({"exif": b"Exif\0\0" + b"\xff\xda\0\2" * 500}, 1, id="what looks like scans inside a segment"),
    ],
)
def test_scans_of_a_jpeg_are_counted_up_to_its_end(options: dict[str, Any], scans: int) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    body = encode(noise, "JPEG", quality=95, **options)
    assert count_scans(body + b"\xff\xda" * 500) == scans
    assert count_scans(body[:-2]) == scans  # cut before its end marker


def test_limit_of_ours_may_exceed_the_one_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode(Image.new("1", (1000, 900)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    assert decode_image(body, max_pixels=LIMIT).shape == (900, 1000, 3)


@pytest.mark.parametrize(
    "make", [lambda: encode(make_picture(), "PNG"), lambda: encode(make_picture((20, 20)), "JPEG")], ids=["PNG", "JPEG"]
)
@given(data=st.data())
@settings(deadline=None)
def test_damaged_files_give_pixels_or_a_reason(make: Callable[[], bytes], data: st.DataObject) -> None:
    body = bytearray(make())
    for place in data.draw(st.lists(st.integers(2, len(body) - 1), min_size=1, max_size=6)):
        body[place] = data.draw(st.integers(0, 255))
    with suppress(ImageUnavailable):
        assert decode_image(bytes(body), max_pixels=LIMIT).dtype == np.uint8


@pytest.mark.parametrize(("mode", "bytes_per_pixel"), [("RGB", 4), ("RGBA", 4), ("L", 1), ("P", 1)])
def test_decoding_holds_the_decoded_file_and_one_array_and_no_copy_beside_them(mode: str, bytes_per_pixel: int, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new(mode, (4000, 3000)).save(path)
    code = """
import resource, sys
from pathlib import Path
from backend.image_decode import decode_image

body = Path(sys.argv[1]).read_bytes()
decode_image(Path(sys.argv[2]).read_bytes(), max_pixels=1 << 30)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode_image(body, max_pixels=1 << 30)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    (tmp_path / "small.png").write_bytes(encode(Image.new(mode, (40, 30))))
    ended = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "small.png"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    grown = int(ended.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown / (4000 * 3000) < bytes_per_pixel + 3 + 0.5


def test_file_on_disk_is_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encode(make_picture()))
    with pytest.raises(ImageUnavailable):
        decode_image(str(secret).encode(), max_pixels=LIMIT)
