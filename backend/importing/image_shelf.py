"""The image files of a data set: left where they are, copied into it, or linked from it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from backend.errors import ImageUnavailable
from backend.export.records import ImageMode

FOLDER = "images"
"""Folder inside a data set."""

_ORIENTATION = 0x0112
_TURNED = range(5, 9)
"""EXIF orientations that swap width and height."""


@dataclass(frozen=True, slots=True)
class ImageShelf:
    """Looks after image files, one by one.

    Args:
        mode: what becomes of them.
        folder: of the data set that is written; ``None`` when nothing is to be written.
    """

    mode: ImageMode
    folder: Path | None

    def keep(self, name: str, path: Path) -> str:
        """Keep a file of this machine.

        Args:
            name: what it is called in the data set, a plain relative path.
            path: where it is.

        Returns:
            Where it is for the data set: relative to its folder, or absolute.

        Raises:
            OSError: it cannot be copied.
        """
        if self.mode == "leave":
            return str(path.resolve())
        if self.folder is not None:
            target = self._place(name)
            if self.mode == "copy":
                shutil.copyfile(path, target)
            elif not target.is_symlink():  # two images of a data set may be one file
                target.symlink_to(path.resolve())
        return f"{FOLDER}/{name}"

    def keep_bytes(self, name: str, body: bytes) -> str:
        """Keep a file that was fetched; as :meth:`keep` otherwise."""
        if self.folder is not None:
            self._place(name).write_bytes(body)
        return f"{FOLDER}/{name}"

    def _place(self, name: str) -> Path:
        assert self.folder is not None
        target = self.folder / FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def file_size_hw(path: Path) -> tuple[int, int]:
    """Height and width of the image in a file, turned as its EXIF orientation says; reads its beginning only.

    Raises:
        ImageUnavailable: there is no such file, or it is no image.
    """
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            is_turned = picture.getexif().get(_ORIENTATION) in _TURNED
    except FileNotFoundError as error:
        raise ImageUnavailable(f"the image file {path} is missing") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageUnavailable(f"{path} is no readable image ({error})") from error
    return (width, height) if is_turned else (height, width)
