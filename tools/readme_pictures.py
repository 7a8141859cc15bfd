"""Make the README's pictures from what ``make demo DEMO_EXIT=1`` left: ``python -m tools.readme_pictures``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from tools.demo import OUTPUT
from tools.demo_check import SCREENSHOTS
from tools.label_studio_server import ROOT

PICTURES = ROOT / "docs" / "images"
WIDTH = 1000
OVERLAYS = 4


def main() -> int:
    """Write ``docs/images/label_studio.png``, ``label_list.png`` and ``overlays.png``; 1 when the demo has left nothing."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    overlays = sorted(OUTPUT.glob("referring-expressions-*.png"))[:OVERLAYS]
    if not overlays:
        print(f"no pictures in {OUTPUT}; run `make demo DEMO_EXIT=1` first", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in SCREENSHOTS.values():
        _save(Image.open(OUTPUT / name), PICTURES / name)
    _save(_side_by_side([Image.open(path) for path in overlays]), PICTURES / "overlays.png")
    return 0


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    gap, height = 6, max(picture.height for picture in pictures)
    pictures = [one.resize((round(one.width * height / one.height), height), Image.Resampling.LANCZOS) for one in pictures]
    strip = Image.new("RGB", (sum(p.width + gap for p in pictures) - gap, height), "white")
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + gap
    return strip


def _save(picture: Image.Image, path: Path) -> None:
    size = (WIDTH, round(picture.height * WIDTH / picture.width))
    small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.quantize(256).save(path, optimize=True)  # a palette: a third of the size, and nobody sees it


if __name__ == "__main__":
    sys.exit(main())
