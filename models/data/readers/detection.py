"""Which format a file or folder is of, from names and first entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.data.readers.json_file import first_items
from models.data.readers.label_maps import layout_of

_BY_NAME = (("refcoco+", "refcoco+"), ("refcocog", "refcocog"), ("refcoco", "refcoco"), ("refclef", "referit"), ("referit", "referit"))
_BY_DIVISION = {"refs(umd).p": "refcocog", "refs(berkeley).p": "referit"}


def detect_dataset_format(path: Path) -> str | None:
    """The name of the format, a key of ``DATASET_FORMATS``; ``None`` when it is none of them, or cannot be told."""
    if path.is_dir():
        return _of_folder(path, sorted(entry.name for entry in path.iterdir()))
    if path.suffix == ".p":
        return _of_folder(path.parent, [path.name])
    return _of_json(path) if path.suffix == ".json" else None


def _of_folder(folder: Path, names: list[str]) -> str | None:
    if layout := layout_of(folder):
        return layout
    if any(name.startswith("grefs(") for name in names):
        return "grefcoco"
    references = [name for name in names if name.startswith("refs(")]
    if references:
        in_name = (format_ for part, format_ in _BY_NAME if part in folder.resolve().name.lower())
        by_division = (_BY_DIVISION[name] for name in references if name in _BY_DIVISION)
        return next(in_name, None) or next(by_division, "refcoco")
    return "phrasecut" if any(name.startswith("refer_") and name.endswith(".json") for name in names) else None


def _of_json(path: Path) -> str | None:
    listed = _first(path, None)
    if listed:
        return "phrasecut" if {"phrase", "Polygons"} <= set(listed) else "grefcoco" if {"sentences", "ref_id"} <= set(listed) else None
    if "segments_info" in _first(path, "annotations"):
        return "coco-panoptic"
    return "coco" if "file_name" in _first(path, "images") else None


def _first(path: Path, key: str | None) -> dict[str, Any]:
    """The first element of an array, if it is an object."""
    found = first_items(path, key)
    return found[0] if found and isinstance(found[0], dict) else {}
