"""What passes from stage to stage of an export. Small values that are cheap to hand from one process to another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from backend.annotator_rule import Source
from backend.export.label_scheme import LabelScheme
from backend.findings import Finding

Format = Literal["coco", "panoptic", "semantic", "yolo"]
ImageMode = Literal["leave", "copy", "link"]
SizeMode = Literal["auto", "regions"]


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """How tasks become records.

    Args:
        scheme: categories and images of the project.
        format: decides which files a task gets beside its records.
        source: annotations, predictions or both.
        model_version: only predictions of this version count.
        crowd_labels: regions of these labels get ``iscrowd`` 1.
        polygons: outlines in place of run-length codes, where they can hold the mask.
        tolerance: how far an outline may run from the mask's exact edge, in pixels.
        max_pixels: a larger image is refused, as its masks would not fit into memory.
    """

    scheme: LabelScheme
    format: Format = "coco"
    source: Source = "annotations"
    model_version: str | None = None
    crowd_labels: tuple[str, ...] = ()
    polygons: bool = False
    tolerance: float = 0.0
    max_pixels: int = 100_000_000


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """A task, and what is known of its images from the files themselves.

    Args:
        task: as Label Studio stores it, brush masks packed.
        sizes: height and width by image id, where the file was looked at.
        file_names: by image id, where the file was copied or linked.
        findings: what went wrong with the files.
    """

    task: dict[str, Any]
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    file_names: dict[int, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of the export.

    Args:
        id: unique in the export.
        task_id: the task that it belongs to.
        address: where it is, if that may be told.
        file_name: the file, as the export names it.
        stem: a name without suffix that no other image has, for files beside it.
        size_hw: height and width in pixels; ``None`` where nothing tells them.
        item_index: its place where a task has a list of images.
    """

    id: int
    task_id: int
    address: str | None
    file_name: str
    stem: str
    size_hw: tuple[int, int] | None
    item_index: int | None


@dataclass(frozen=True, slots=True)
class MaskRecord:
    """One region of the export.

    Args:
        image_id: the image that it lies on.
        category_id: its category.
        segmentation: COCO's compressed run-length code, or outlines as lists of ``x, y, x, y, ...``.
        area: number of pixels.
        box: ``x, y, width, height`` in pixels.
        is_crowd: marked as a crowd on request.
        attributes: where it comes from.
    """

    image_id: int
    category_id: int
    segmentation: Any
    area: int
    box: tuple[int, int, int, int]
    is_crowd: bool
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Painted:
    """The file of one image, for formats that have one.

    Args:
        content: of the file.
        segments: ``segments_info`` of a panoptic image.
        findings: what the format could not hold.
    """

    content: bytes
    segments: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What one task gives: nothing but findings when nobody has looked at it.

    Args:
        task_id: the task; ``None`` for an entry that is no task.
        data: its fields, by which splits are made.
        images: all its images, those without a region too.
        masks: the regions, in the order of the result.
        files: by image id, for formats with a file per image.
        findings: what was left out or changed.
    """

    task_id: int | None
    data: dict[str, Any]
    images: tuple[ImageRecord, ...] = ()
    masks: tuple[MaskRecord, ...] = ()
    files: dict[int, Painted] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
