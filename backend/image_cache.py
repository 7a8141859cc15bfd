"""Encoded image files on disk, so that a second prompt on an image, or a restart, downloads nothing. Safe between threads and processes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.image_fetch import Validators

_STALE_PART_SECONDS = 3600.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached file, what its server said about its version, and when (seconds since 1970) the server last confirmed it."""

    body: bytes
    validators: Validators
    confirmed: float


class ImageCache:
    """Least recently used files go first when the folder exceeds its bound. A cache that cannot be written costs speed, not answers.

    One file per entry: a line of JSON with the validators, then the body. It appears by rename, so no reader sees half of one. Its
    modification time says when it was confirmed, its access time (set by us, whatever the mount does) when it was used.

    Args:
        folder: made when the first entry is stored, readable by this user only.
        max_bytes: bound on the sum of all entries.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def get(self, name: str) -> Entry | None:
        """The entry of that name, if there is a whole one."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                header = json.loads(file.readline())
                body = file.read()
                confirmed = os.fstat(file.fileno()).st_mtime
            if len(body) != header.pop("size"):
                return None
            os.utime(path, (time.time(), confirmed))
            return Entry(body, Validators(**header), confirmed)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("cannot read an entry of the image cache in %s: %s", self._folder, error)
            return None

    def confirm(self, name: str) -> None:
        """Note that the server called the entry current just now."""
        with suppress(OSError):
            os.utime(self._path(name))

    def put(self, name: str, body: bytes, validators: Validators) -> None:
        """Store an entry, replacing one of the same name, then make room."""
        if len(body) > self._max_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            header = json.dumps({**asdict(validators), "size": len(body)}).encode() + b"\n"
            descriptor, part = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(header)
                    file.write(body)
                os.replace(part, self._path(name))
            except BaseException:
                os.unlink(part)
                raise
            self._make_room()
        except OSError as error:
            logger.warning("the image cache in %s cannot be written: %s; images are fetched each time", self._folder, error)

    def _make_room(self) -> None:
        entries, total, now = [], 0, time.time()
        for found in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another process makes room as well
                status = found.stat()
                if found.name.endswith(".part") and now - status.st_mtime > _STALE_PART_SECONDS:
                    os.unlink(found.path)  # its writer was killed
                    continue
                entries.append((status.st_atime_ns, status.st_size, found.path))
                total += status.st_size
        for _, size, path in sorted(entries):
            if total <= self._max_bytes:
                return
            with suppress(FileNotFoundError):
                os.unlink(path)
            total -= size

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.image"
