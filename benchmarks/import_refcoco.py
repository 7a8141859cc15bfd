"""How long ``wordmask import`` takes for a RefCOCO of 100 000 expressions, and how much memory.

Run: ``.venv/bin/python benchmarks/import_refcoco.py`` (about two minutes, most of them to make the data). The data set is made up, in the
original files and in RefCOCO's proportions: 7 expressions and 10 annotated objects per image, outlines of 30 points, one object in ten in
two parts. Each run is a process of its own, the command from its start to its end; memory is the most that it ever held.

Beside it stands what the original reader does: ``json.load``, ``pickle.load``, and the same masks by pycocotools, with everything held in
memory and nothing checked or written. The last line is one JSON object; ``seconds_over_limit`` is the share of a minute.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

LIMIT_SECONDS = 60.0
EXPRESSIONS = 100_000
PER_IMAGE = 7
OBJECTS = 10
POINTS = 30
SIZE_HW = (480, 640)
WORDS = ("left", "man", "the", "red", "dog", "behind", "table", "second", "from", "right", "with", "hat")

PLAIN_READER = """
import json, pickle, sys
from pycocotools import mask
with open(sys.argv[1] + "/instances.json") as file:
    instances = json.load(file)
with open(sys.argv[1] + "/refs(unc).p", "rb") as file:
    references = pickle.load(file, encoding="latin-1")
sizes = {image["id"]: (image["height"], image["width"]) for image in instances["images"]}
masks = {one["id"]: mask.merge(mask.frPyObjects(one["segmentation"], *sizes[one["image_id"]])) for one in instances["annotations"]}
"""


def write_refcoco(folder: Path, expressions: int) -> None:
    """``instances.json`` and ``refs(unc).p``."""
    rng = np.random.default_rng(0)
    height, width = SIZE_HW
    n_images = -(-expressions // PER_IMAGE)
    images = [{"id": n, "file_name": f"COCO_train2014_{n:012}.jpg", "height": height, "width": width} for n in range(n_images)]
    annotations: list[dict[str, Any]] = []
    for image in range(n_images):
        for place in range(OBJECTS):
            polygons = [polygon(rng) for _ in range(2 if place == 0 else 1)]
            fields = {"id": len(annotations), "image_id": image, "category_id": 1 + place % 80, "iscrowd": 0, "area": 1234.5}
            annotations.append({**fields, "bbox": [10.5, 20.5, 100.25, 50.75], "segmentation": polygons})
    order = rng.permutation(len(annotations))
    categories = [{"id": n, "name": f"category {n}", "supercategory": "any"} for n in range(1, 81)]
    content = {"info": {}, "images": images, "licenses": [], "annotations": [annotations[n] for n in order], "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    with (folder / "refs(unc).p").open("wb") as file:
        pickle.dump(references(rng, expressions), file, protocol=0)


def polygon(rng: np.random.Generator) -> list[float]:
    """A ragged outline of an ordinary object."""
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    radii = rng.uniform(15, 90) * rng.uniform(0.7, 1.3, POINTS)
    corners = rng.uniform(0.2, 0.8, 2) * SIZE_HW[::-1] + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return [float(number) for number in corners.ravel().round(2)]


def references(rng: np.random.Generator, expressions: int) -> list[dict[str, Any]]:
    """References with one to four sentences each, as many sentences as there are expressions."""
    found: list[dict[str, Any]] = []
    sentence = 0
    while sentence < expressions:
        count = min(1 + len(found) % 4, expressions - sentence)
        image = sentence // PER_IMAGE
        ids = list(range(sentence, sentence + count))
        sentences = []
        for number in ids:
            tokens = [WORDS[n] for n in rng.integers(0, len(WORDS), 4)]
            sentences.append({"sent_id": number, "tokens": tokens, "raw": " ".join(tokens), "sent": " ".join(tokens)})
        about = {
            "ann_id": image * OBJECTS + len(found) % OBJECTS,
            "image_id": image,
            "category_id": 1,
            "split": ("train", "val")[len(found) % 2],
        }
        found.append({"ref_id": len(found), **about, "file_name": "unused", "sent_ids": ids, "sentences": sentences})
        sentence += count
    return found


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of a processor, and most megabytes of a process that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Make the data, measure, print the table, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expressions", type=int, default=EXPRESSIONS)
    wanted = parser.parse_args().expressions
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: on Linux a process counts the memory of the one that started it as its own most.
        maker = multiprocessing.get_context("spawn").Process(target=write_refcoco, args=(folder, wanted))
        maker.start()
        maker.join()
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        executable = str(Path(sys.executable).parent / "wordmask")
        seconds, busy, memory = measure([executable, "import", "refcoco", name, "--out", str(folder / "out")])
        plain_seconds, plain_busy, plain_memory = measure([sys.executable, "-c", PLAIN_READER, name])
        imported = json.loads((folder / "out" / "manifest.json").read_text())["counts"]
    table = Table(
        "",
        "seconds",
        "of a processor",
        "most memory, MB",
        title=f"{wanted} expressions, {imported['targets']} masks, {megabytes:.0f} MB of files",
    )
    table.add_row("wordmask import", f"{seconds:.1f}", f"{busy:.1f}", f"{memory:.0f}")
    table.add_row("json.load, pickle.load, pycocotools", f"{plain_seconds:.1f}", f"{plain_busy:.1f}", f"{plain_memory:.0f}")
    Console(width=110).print(table)
    figures = {
        "seconds_over_limit": round(seconds / LIMIT_SECONDS, 3),
        "peak_rss_mb": round(memory),
        "expressions": imported["expressions"],
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
        "processor_seconds_over_plain": round(busy / plain_busy, 2),
        "rss_over_plain": round(memory / plain_memory, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
