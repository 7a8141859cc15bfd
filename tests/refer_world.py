"""Small data sets in their exact original layouts, made of random shapes: no download, and every kind of mask that they hold."""

from __future__ import annotations

import json
import pickle
import pickletools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

CATEGORIES = [{"id": 1, "name": "person", "supercategory": "person"}, {"id": 18, "name": "dog", "supercategory": "animal"}]
WORDS = ("left", "man", "the", "red", "dog", "behind", "table")


def make_instances(images: int = 3, per_image: int = 4, *, seed: int = 0, size_hw: tuple[int, int] = (48, 64)) -> dict[str, Any]:
    """The content of an ``instances.json``: polygons of one part and of two, and an uncompressed RLE of a crowd per image."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    names = [{"id": 500 + n, "file_name": f"COCO_train2014_{500 + n:012}.jpg", "height": height, "width": width} for n in range(images)]
    annotations = [_annotation(rng, 1000 + place, image["id"], size_hw, place % per_image) for image in names for place in range(per_image)]
    for number, annotation in enumerate(annotations):
        annotation["id"] = 1000 + number
    # The original files list annotations in no order of their images.
    order = rng.permutation(len(annotations))
    return {"info": {}, "images": names, "licenses": [], "annotations": [annotations[i] for i in order], "categories": CATEGORIES}


def _annotation(rng: np.random.Generator, number: int, image_id: int, size_hw: tuple[int, int], kind: int) -> dict[str, Any]:
    """One annotation; kind 0 is a crowd, 1 has two parts."""
    segmentation: Any = [make_polygon(rng, size_hw) for _ in range(2 if kind == 1 else 1)]
    if kind == 0:
        segmentation = uncompressed(decode(coco.frPyObjects(segmentation, *size_hw)[0]))
    box = coco.toBbox(coco.frPyObjects(segmentation, *size_hw)).reshape(-1, 4)[0].tolist()
    category = CATEGORIES[number % 2]["id"]
    fields = {"id": number, "image_id": image_id, "category_id": category, "iscrowd": int(kind == 0), "area": 20.5, "bbox": box}
    return {**fields, "segmentation": segmentation}


def make_polygon(rng: np.random.Generator, size_hw: tuple[int, int], points: int = 9) -> list[float]:
    """A star-shaped outline, partly off the image at times."""
    centre = rng.uniform(0.2, 0.8, 2) * size_hw[::-1]
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radii = rng.uniform(0.1, 0.5, points) * min(size_hw)
    corners = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return [round(float(number), 2) for number in corners.ravel()]


def decode(rle: Any) -> np.ndarray:
    """An RLE of COCO's tools as a bool mask, by those tools."""
    with warnings.catch_warnings():
        # NumPy 2 dislikes how they make their arrays.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(coco.decode(rle), bool)


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed RLE."""
    flat = np.concatenate([[0], mask.astype(np.uint8).ravel(order="F")])
    edges = np.flatnonzero(np.diff(flat, append=2))
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}


def make_references(instances: dict[str, Any], sentences: int = 2, *, splits: tuple[str, ...] = ("train", "val", "testA", "testB")) -> list:
    """References to everything that is no crowd, as ``refs(unc).p`` holds them."""
    wanted = sorted((one for one in instances["annotations"] if not one["iscrowd"]), key=lambda one: one["id"])
    references = []
    for number, annotation in enumerate(wanted):
        ids = list(range(number * sentences, (number + 1) * sentences))
        references.append(
            {
                "ref_id": number,
                "ann_id": annotation["id"],
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "file_name": f"COCO_train2014_{annotation['image_id']:012}_{number}.jpg",
                "split": splits[number % len(splits)],
                "sent_ids": ids,
                "sentences": [_sentence(one) for one in ids],
            }
        )
    return references


def _sentence(number: int) -> dict[str, Any]:
    tokens = [WORDS[(number + step * step) % len(WORDS)] for step in range(1 + number % 4)]
    return {"sent_id": number, "tokens": tokens, "raw": " ".join(tokens).upper() + ".", "sent": " ".join(tokens)}


def write_refer(folder: Path, instances: dict[str, Any], division: str = "unc", references: list | None = None) -> Path:
    """``instances.json`` and ``refs(DIVISION).p``, pickled as Python 2 did."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps(instances))
    chosen = make_references(instances) if references is None else references
    (folder / f"refs({division}).p").write_bytes(pickle_of_python2(chosen))
    return folder


def pickle_of_python2(value: Any) -> bytes:
    """What ``cPickle.dump(value, file)`` of Python 2 wrote for texts of the type ``str``."""
    data = pickle.dumps(value, protocol=0)
    instructions = [(instruction.name, argument, position) for instruction, argument, position in pickletools.genops(data)]
    ends = [position for _, _, position in instructions[1:]] + [len(data)]
    parts = [
        b"S" + repr(argument.encode("latin-1"))[1:].encode() + b"\n" if name == "UNICODE" else data[position:end]
        for (name, argument, position), end in zip(instructions, ends, strict=True)
    ]
    return b"".join(parts)


def write_grefcoco(folder: Path, instances: dict[str, Any]) -> Path:
    """One expression per image of each kind: about nothing, about one thing, about two."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps(instances))
    references: list[dict[str, Any]] = []
    for image in instances["images"]:
        ids = sorted(one["id"] for one in instances["annotations"] if one["image_id"] == image["id"] and not one["iscrowd"])
        for targets in ([-1], ids[:1], ids[:2]):
            number = len(references)
            common = {"ref_id": number, "image_id": image["id"], "split": "val", "sent_ids": [number], "no_target": targets == [-1]}
            categories = [-1] if targets == [-1] else [1] * len(targets)
            references.append({**common, "ann_id": targets, "category_id": categories, "sentences": [_sentence(number)]})
    (folder / "grefs(unc).json").write_text(json.dumps(references))
    return folder


def write_phrasecut(folder: Path, images: int = 2, *, seed: int = 0, split: str = "val") -> Path:
    """``refer_val.json`` and ``image_data_split.json``: phrases about one thing, and about two, one of them in two parts."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    size_hw = 40, 56
    listed = [
        {"image_id": 70 + n, "height": size_hw[0], "width": size_hw[1], "split": split, "url": "", "coco_id": None} for n in range(images)
    ]
    listed.append({**listed[0], "image_id": 9, "split": "another split"})
    tasks = []
    for image in listed[:-1]:
        for things in ([1], [2, 1]):
            polygons = [[np.reshape(make_polygon(rng, size_hw), (-1, 2)).tolist() for _ in range(parts)] for parts in things]
            structure = {"name": "dog", "attributes": ["red"], "relation_descriptions": [], "relation_ids": [], "type": "attribute"}
            boxes = [[1, 2, 10, 12]] * len(things)
            task = {"task_id": f"{image['image_id']}__{len(tasks)}", "image_id": image["image_id"], "ann_ids": [0] * len(things)}
            tasks.append({**task, "instance_boxes": boxes, "Polygons": polygons, "phrase": "red dog", "phrase_structure": structure})
    (folder / f"refer_{split}.json").write_text(json.dumps(tasks))
    (folder / "image_data_split.json").write_text(json.dumps(listed))
    return folder


def write_panoptic(file: Path, images: int = 2, *, seed: int = 0, size_hw: tuple[int, int] = (30, 41)) -> Path:
    """``panoptic_val.json`` and its folder of PNG files: two segments of large ids and a rest without any."""
    rng = np.random.default_rng(seed)
    folder = file.with_suffix("")
    folder.mkdir(parents=True)
    listed, annotations = [], []
    for number in range(images):
        ids = np.zeros(size_hw, np.int64)
        for segment in (300 + number, 70_000 + number):
            polygon = make_polygon(rng, size_hw)
            ids[decode(coco.frPyObjects([polygon], *size_hw)[0])] = segment
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
        Image.fromarray(colours).save(folder / f"{number:012}.png")
        listed.append({"id": number, "file_name": f"{number:012}.jpg", "height": size_hw[0], "width": size_hw[1]})
        segments = [{"id": int(segment), "category_id": 1 if segment < 1000 else 200, "iscrowd": 0} for segment in np.unique(ids)[1:]]
        annotations.append({"image_id": number, "file_name": f"{number:012}.png", "segments_info": segments})
    categories = [{"id": 1, "name": "person", "isthing": 1}, {"id": 200, "name": "sky", "isthing": 0}]
    file.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": categories}))
    return file


def write_images(folder: Path, names: list[str], size_hw: tuple[int, int]) -> Path:
    """Image files of one colour each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", size_hw[::-1], (40 * number % 256, 90, 120)).save(folder / name)
    return folder
