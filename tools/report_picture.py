"""Make the README's picture of an evaluation's report: ``python -m tools.report_picture FOLDER/report.html``."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tools.editor import open_browser
from tools.label_studio_server import ROOT

PICTURE = ROOT / "docs" / "images" / "report.png"
WINDOW = {"width": 1180, "height": 900}
WIDTH = 1200
HEIGHT_OF_PART = 1250
"""Pixels of the page that each of the two parts shows: the figures, and the pictures."""


def main() -> int:
    """Write ``docs/images/report.png``: the head of the report, and beside it its pictures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("report", type=Path, help="report.html of an evaluation")
    report: Path = parser.parse_args().report
    if not report.is_file():
        parser.error(f"there is no file {report}")
    with open_browser() as browser:
        page = browser.new_page(viewport=WINDOW, color_scheme="light")  # type: ignore[arg-type]
        page.goto(report.resolve().as_uri())
        parts = [_part(page, 0), _part(page, int(page.locator("#cases").bounding_box()["y"]) - 20)]  # type: ignore[index]
    both = Image.new("RGB", (parts[0].width + parts[1].width, HEIGHT_OF_PART), "white")
    both.paste(parts[0], (0, 0))
    both.paste(parts[1], (parts[0].width, 0))
    small = both.resize((WIDTH, round(both.height * WIDTH / both.width)), Image.Resampling.LANCZOS)
    small.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(PICTURE, optimize=True)  # keeps the few strong colours
    return 0


def _part(page: Page, top: int) -> Image.Image:
    clip = {"x": 0, "y": top, "width": WINDOW["width"], "height": HEIGHT_OF_PART}
    return Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
