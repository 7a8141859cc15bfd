"""The files of an export: records in, JSON and pictures out, split by split, in the order of the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from backend.errors import BadRequest
from backend.export.json_lists import JsonLists, dumps
from backend.export.label_scheme import LabelScheme
from backend.export.records import Format, ImageRecord, MaskRecord, TaskRecord
from backend.export.splits import MOST_SPLITS, Splits

_FILE_FOLDERS: dict[Format, tuple[str, str]] = {"panoptic": ("panoptic", ".png"), "semantic": ("masks", ".png"), "yolo": ("labels", ".txt")}
_LISTS: dict[Format, tuple[str, ...]] = {"coco": ("images", "annotations"), "panoptic": ("images", "annotations"), "semantic": ("images",)}


class ExportWriter:
    """Writes all files of an export into a folder.

    Args:
        folder: exists and is empty.
        format: which files are written.
        scheme: the categories.
        splits: one JSON file each.
        info: what stands under ``info``; the same for the same input.
    """

    def __init__(self, folder: Path, format: Format, scheme: LabelScheme, splits: Splits, info: Mapping[str, Any]) -> None:
        self._folder, self._format, self._scheme, self._splits, self._info = folder, format, scheme, splits, info
        self._stack = ExitStack()
        self._lists: dict[str | None, JsonLists] = {}
        self._names: dict[str | None, IO[str]] = {}
        if format in _FILE_FOLDERS:
            (folder / _FILE_FOLDERS[format][0]).mkdir()
        for split in [name for name, _ in splits.shares] if splits.field is None else []:
            self._open(split)
        if splits.field is None and not splits.shares:
            self._open(None)

    def __enter__(self) -> ExportWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def add(self, record: TaskRecord) -> None:
        """Write what one task gives."""
        split_of = {image.id: self._splits.split_of(record.data, image.address or image.file_name) for image in record.images}
        for image in record.images:
            self._open(split_of[image.id])
            self._add_image(image, record, split_of[image.id])
        if self._format == "coco":
            for mask in record.masks:
                lists = self._lists[split_of[mask.image_id]]
                lists.add("annotations", {"id": lists.counts["annotations"] + 1, **annotation_json(mask)})

    def finish(self) -> None:
        """Join the lists; the export is whole after this."""
        for lists in self._lists.values():
            lists.join({"info": dict(self._info), "licenses": []}, {"categories": categories_json(self._scheme)})
        if self._format == "yolo":
            self._write_data_yaml()

    def _add_image(self, image: ImageRecord, record: TaskRecord, split: str | None) -> None:
        entry = image_json(image)
        painted = record.files.get(image.id)
        if painted is not None:
            folder, suffix = _FILE_FOLDERS[self._format]
            name = f"{image.stem}{suffix}"
            (self._folder / folder / name).write_bytes(painted.content)
            if self._format == "panoptic":
                self._lists[split].add("annotations", {"image_id": image.id, "file_name": name, "segments_info": painted.segments})
            entry["mask_file"] = f"{folder}/{name}"
        if self._format == "yolo":
            self._names[split].write(f"./{image.file_name}\n")
        else:
            self._lists[split].add("images", entry)

    def _open(self, split: str | None) -> None:
        """Begin the files of a split; fields may name new ones at any time."""
        if split in self._lists or split in self._names:
            return
        if len(self._lists) + len(self._names) >= MOST_SPLITS:
            raise BadRequest(f"the field {self._splits.field!r} names more than {MOST_SPLITS} splits; choose a field that names splits")
        if self._format == "yolo":
            path = self._folder / f"{split or 'train'}.txt"
            self._names[split] = self._stack.enter_context(path.open("w", encoding="utf-8"))
        else:
            name = "instances" if self._format == "coco" else self._format
            path = self._folder / f"{name}{f'_{split}' if split else ''}.json"
            self._lists[split] = self._stack.enter_context(JsonLists(path, _LISTS[self._format]))

    def _write_data_yaml(self) -> None:
        """YOLO's ``data.yaml``; every JSON object is YAML."""
        names = sorted(split or "train" for split in self._names)
        lists = {name: f"{name}.txt" for name in names} | ({"val": "train.txt"} if names == ["train"] else {})
        data = {"path": ".", **lists, "names": dict(enumerate(self._scheme.categories))}
        (self._folder / "data.yaml").write_text(dumps(data) + "\n", encoding="ascii")


def image_json(image: ImageRecord) -> dict[str, Any]:
    """An entry of COCO's ``images``."""
    size = {} if image.size_hw is None else {"width": image.size_hw[1], "height": image.size_hw[0]}
    attributes = {"task_id": image.task_id} | ({} if image.item_index is None else {"item_index": image.item_index})
    address = {} if image.address is None else {"coco_url": image.address}
    return {"id": image.id, "file_name": image.file_name, **size, **address, "attributes": attributes}


def annotation_json(mask: MaskRecord) -> dict[str, Any]:
    """An entry of COCO's ``annotations``, without its id."""
    return {
        "image_id": mask.image_id,
        "category_id": mask.category_id,
        "segmentation": mask.segmentation,
        "area": mask.area,
        "bbox": list(mask.box),
        "iscrowd": int(mask.is_crowd),
        "attributes": mask.attributes,
    }


def categories_json(scheme: LabelScheme) -> list[dict[str, Any]]:
    """COCO's ``categories``, in config order from 1; ``isthing`` for readers of the panoptic format."""
    return [{"id": number, "name": name, "supercategory": "", "isthing": 1} for number, name in enumerate(scheme.categories, 1)]
