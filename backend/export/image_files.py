"""The image files of an export: left where they are, copied, or linked; and looked at where no region tells how large an image is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from backend.annotator_rule import Source, chosen_annotations
from backend.errors import ImageUnavailable
from backend.export.image_sizes import Size, named_size
from backend.export.label_scheme import LabelScheme
from backend.export.records import ImageMode, PreparedTask, SizeMode
from backend.export.task_images import TaskImage, image_of, left_name, own_name, task_images
from backend.findings import Finding, place
from backend.image_decode import decode_image
from backend.images import ImageLoader
from backend.tasks import Task

FOLDER = "images"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file and the size of the image in it; ``path`` where it lies on this machine."""

    body: bytes
    size_hw: Size
    path: Path | None = None


class ImageFiles(Protocol):
    """Where image files come from."""

    def get(self, image: TaskImage, task_id: int) -> ImageFile:
        """Fetch one. Raises ``ImageUnavailable``."""


@dataclass(frozen=True, slots=True)
class FetchedFiles:
    """Files fetched from where the task says, within the limits and hosts of the settings."""

    loader: ImageLoader

    def get(self, image: TaskImage, task_id: int) -> ImageFile:
        """Fetch one. Raises ``ImageUnavailable``."""
        body, loaded = self.loader.load_file(image.uri, task_id=task_id)
        return ImageFile(body, loaded.size_hw)


@dataclass(frozen=True, slots=True)
class FilesOnDisk:
    """Files in a folder of this machine: Label Studio's media folder, or the root of its local files.

    Args:
        root: the folder; nothing outside it is ever read, whatever a task names.
        max_bytes: largest file that is read.
        max_pixels: largest image that is decoded.
    """

    root: Path
    max_bytes: int
    max_pixels: int

    def get(self, image: TaskImage, task_id: int) -> ImageFile:
        """Read one. Raises ``ImageUnavailable``."""
        name = left_name(image)
        for candidate in (name, name.removeprefix("upload/")):
            path = (self.root / candidate).resolve()
            if path.is_relative_to(self.root.resolve()) and path.is_file():
                if path.stat().st_size > self.max_bytes:
                    raise ImageUnavailable(f"{path} is larger than {self.max_bytes / 2**20:g} MiB; raise WORDMASK_IMAGE_MAX_BYTES")
                body = path.read_bytes()
                height, width = decode_image(body, max_pixels=self.max_pixels).shape[:2]
                return ImageFile(body, (height, width), path)
        raise ImageUnavailable(f"there is no file {name!r} under {self.root}; check --image-root")


@dataclass(frozen=True, slots=True)
class ImageStage:
    """Looks after the images of each task before it is converted. Safe to call from several threads.

    Args:
        scheme: tells which images a task has.
        source: whose regions count.
        files: where files come from.
        images: what becomes of them.
        sizes: ``auto`` fetches an image when none of its regions tells its size, ``regions`` never does.
        folder: of the export; ``None`` when nothing is to be written.
    """

    scheme: LabelScheme
    source: Source
    files: ImageFiles
    images: ImageMode = "leave"
    sizes: SizeMode = "auto"
    folder: Path | None = None

    def __call__(self, task: dict[str, Any] | Finding) -> PreparedTask | Finding:
        """Fetch, copy or link what is needed for one task; what fails is told and leaves the masks as they are."""
        if isinstance(task, Finding):
            return task
        if self.images == "leave" and self.sizes == "regions":
            return PreparedTask(task)
        chosen = chosen_annotations(task, self.source).chosen
        sizes: dict[int, Size] = {}
        names: dict[int, str] = {}
        findings: list[Finding] = []
        entries = [entry for found in chosen for entry in found.result if isinstance(entry, Mapping)]
        found_images = task_images(task, self.scheme)[0] if chosen else []
        told = {image.id for entry in entries if named_size(entry) and (image := image_of(entry, found_images))}
        for image in found_images:
            if self.images == "leave" and image.id in told:
                continue
            try:
                file = self.files.get(image, task["id"])
                sizes[image.id] = file.size_hw
                if self.images != "leave":
                    names[image.id] = self._place(image, file)
            except (ImageUnavailable, OSError) as error:
                findings.append(_unavailable(task, image, error, is_lost=self.images != "leave"))
        return PreparedTask(task, sizes, names, tuple(findings))

    def _place(self, image: TaskImage, file: ImageFile) -> str:
        name = f"{FOLDER}/{own_name(image)}"
        if self.folder is not None:
            target = self.folder / name
            target.parent.mkdir(exist_ok=True)
            if self.images == "link":
                if file.path is None:
                    raise ImageUnavailable("only files of this machine can be linked; say with --image-root where they lie")
                os.symlink(file.path, target)
            else:
                target.write_bytes(file.body)
        return name


def _unavailable(task: Task, image: TaskImage, error: Exception, *, is_lost: bool) -> Finding:
    what = f"the image cannot be had: {error}"
    where = place(task=task["id"], image=image.id)
    if is_lost:
        return Finding("error", "no-file", where, what, "its masks are written, its file is missing")
    return Finding("warning", "no-file", where, what, "its size stays unknown")
