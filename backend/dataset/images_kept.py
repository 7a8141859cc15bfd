"""Images of samples, kept by content: training reads them again and again, and they may vanish where they came from."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from PIL import Image

from models import RgbImage, image_digest

_YOUNG_SECONDS = 3600.0
"""Files younger than this are never removed: their sample may be about to be written."""


class KeptImages:
    """A folder of PNG files, each named by the digest of its pixels.

    Args:
        folder: made when the first image is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, image: RgbImage) -> str:
        """Keep an image, once, and return its digest. No reader ever sees half a file.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        digest = image_digest(image)
        path = self.path(digest)
        if path.exists():
            return digest
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                Image.fromarray(image).save(file, format="PNG", compress_level=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(part)
            raise
        return digest

    def path(self, digest: str) -> Path:
        """Where the image of that digest is."""
        return self.folder / digest[:2] / f"{digest}.png"

    def remove_others(self, digests: Collection[str]) -> int:
        """Remove images that are not among ``digests``, and parts that a killed process left; returns how many."""
        removed, now = 0, time.time()
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                if path.stem not in digests and now - path.stat().st_mtime > _YOUNG_SECONDS:
                    path.unlink()
                    removed += 1
        return removed
