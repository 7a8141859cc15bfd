"""Make the README's picture of the service's page: ``python -m tools.page_picture FOLDER``, with a service's data folder."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image

from tools.backend_server import BackendServer
from tools.editor import open_browser
from tools.label_studio_server import ROOT

PICTURE = ROOT / "docs" / "images" / "page.png"
WINDOW = {"width": 1120, "height": 900}
MARGIN = 24
"""Pixels above the images of the first project, where the picture ends: their artwork need not be ours to publish."""


def main() -> int:
    """Write ``docs/images/page.png``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, help="data folder of a service that has trained a version")
    folder: Path = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}")
    with (
        BackendServer(folder, "", "", WORDMASK_DATA_DIR=str(folder.resolve()), WORDMASK_TRAINER="false") as server,
        open_browser() as browser,
    ):
        page = browser.new_page(viewport=WINDOW, color_scheme="light")  # type: ignore[arg-type]
        page.goto(server.url)
        page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
        page.wait_for_load_state("networkidle")
        headings = page.get_by_role("heading", name="Before and after").all()
        images = headings[0].bounding_box() if headings else None
        if images is None:
            print(f"no project in {folder} has a version with images before and after", file=sys.stderr)
            return 1
        height = round(images["y"]) - MARGIN
        clip = {"x": 0, "y": 0, "width": WINDOW["width"], "height": height}
        shown = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")  # type: ignore[arg-type]
    shown.quantize(128, method=Image.Quantize.MAXCOVERAGE).save(PICTURE, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
