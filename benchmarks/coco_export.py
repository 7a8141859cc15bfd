"""`wordmask export coco` against ``BRUSH_TO_COCO`` of ``label_studio_sdk``, and its memory as projects grow.

Run: ``.venv/bin/python benchmarks/coco_export.py`` (some minutes, and 2 GB of disk for a while); ``--tasks 20 --most 60`` tries it out.
The last line is one JSON object:

- ``speed_vs_sdk``: seconds per mask of the SDK's converter / ours, on one export file of 1 000 tasks with 5 brush masks of 1024 x 1024
  each, both from the file to the written COCO, each in a process of its own. Ours uses every core, the SDK's can use one.
- ``speed_vs_sdk_one_process``: the same with one process of ours.
- ``rss_growth``: peak memory of our export (all its processes together) of 10 000 tasks / of 100 tasks.
- ``masks_exact``: whether every mask that we wrote is the one that went in, holes and islands included.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table

from backend import brush_rle

SIZE_HW = (1024, 1024)
MASKS_PER_TASK = 5
DIFFERENT_MASKS = 15
"""Masks repeat after this many, so that writing the project takes seconds."""

LABELS = ("Dog", "Cat", "Cow")
CONFIG = """<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">
<Label value="Dog"/><Label value="Cat"/><Label value="Cow"/></BrushLabels></View>"""


def make_mask(seed: int) -> npt.NDArray[np.bool_]:
    """An object as people draw it: a few blobs with wavy rims, one of them with a hole; bool."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]].astype(np.float32)
    mask = np.zeros(SIZE_HW, dtype=bool)
    for blob in range(3):
        dy, dx = y - rng.uniform(150, 870), x - rng.uniform(150, 870)
        radius = rng.uniform(60, 200) * (1 + 0.15 * np.sin(np.arctan2(dy, dx) * rng.integers(3, 8)))
        mask |= dy**2 + dx**2 < radius**2
        if blob == 0:
            mask &= dy**2 + dx**2 >= (0.4 * radius) ** 2
    return mask


def write_project(path: Path, tasks: int) -> None:
    """An export of Label Studio with that many tasks."""
    regions = [
        json.dumps(
            {"id": f"region-{seed}", "from_name": "brush", "to_name": "image", "type": "brushlabels", "origin": "manual"}
            | {"original_width": SIZE_HW[1], "original_height": SIZE_HW[0], "image_rotation": 0}
            | {"value": {"format": "rle", "rle": brush_rle.encode(make_mask(seed)), "brushlabels": [LABELS[seed % 3]]}}
        )
        for seed in range(DIFFERENT_MASKS)
    ]
    with path.open("w", encoding="ascii") as file:
        for number in range(tasks):
            own = [regions[(number * MASKS_PER_TASK + place) % DIFFERENT_MASKS] for place in range(MASKS_PER_TASK)]
            annotation = json.dumps({"id": number + 1, "completed_by": 1, "was_cancelled": False, "updated_at": "2026-11-20T10:00:00Z"})
            file.write("," if number else "[")
            file.write(f'{{"id": {number + 1}, "data": {{"image": "/data/upload/1/{number}.png"}}, "predictions": [], ')
            file.write(f'"annotations": [{annotation[:-1]}, "result": [{", ".join(own)}]}}]}}')
        file.write("]")


def export_ours(tasks: Path, out: Path, processes: int) -> None:
    """Our export."""
    from backend.export.image_files import FilesOnDisk
    from backend.export.records import ConvertOptions
    from backend.export.run import ExportJob, run_export
    from backend.export.schemes import scheme_of_file

    files = FilesOnDisk(tasks.parent, 1, 1)
    run_export(ExportJob(tasks, ConvertOptions(scheme_of_file(tasks, CONFIG)), out, files, processes=processes))


def export_sdk(tasks: Path, out: Path, processes: int) -> None:
    """The converter of the SDK, as ``label-studio-converter export`` calls it."""
    del processes
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.converter.converter import Format

    logging.disable(logging.WARNING)
    converter = Converter(CONFIG, project_dir=None, download_resources=False)
    converter.convert(str(tasks), str(out), Format.BRUSH_TO_COCO, is_dir=False)


def _measured(export: Callable[[Path, Path, int], None], tasks: Path, out: Path, processes: int, answer: Any) -> None:
    started = time.perf_counter()
    export(tasks, out, processes)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    largest_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    answer.put((seconds, own + (processes * largest_child if processes > 1 else 0)))


def measure(export: Callable[[Path, Path, int], None], tasks: Path, out: Path, processes: int) -> tuple[float, int]:
    """Seconds and peak memory in bytes of one export, in a fresh process; of several processes the largest counts for each."""
    context = get_context("spawn")
    answer: Any = context.Queue()
    process = context.Process(target=_measured, args=(export, tasks, out, processes, answer))
    process.start()
    seconds, rss = answer.get()
    process.join()
    return seconds, rss


def all_exact(path: Path) -> bool:
    """Whether every mask of our export decodes to the one that went in."""
    masks = [np.asfortranarray(make_mask(seed), dtype=np.uint8) for seed in range(DIFFERENT_MASKS)]
    codes = [coco_mask.encode(mask)["counts"].decode() for mask in masks]
    written = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    numbers = [int(annotation["attributes"]["region_id"].removeprefix("region-")) for annotation in written]
    return [annotation["segmentation"]["counts"] for annotation in written] == [codes[number] for number in numbers]


def print_table(rows: list[dict[str, Any]]) -> None:
    """What was measured, for people."""
    table = Table(title=f"COCO export, brush masks of {SIZE_HW[1]} x {SIZE_HW[0]}")
    for heading in ("exporter", "processes", "tasks", "masks", "seconds", "ms per mask", "peak memory, MiB"):
        table.add_column(heading, justify="left" if heading == "exporter" else "right")
    for row in rows:
        cells = [row["exporter"], row["processes"], row["tasks"], row["masks"], f"{row['seconds']:.1f}"]
        table.add_row(*map(str, cells), f"{row['ms_per_mask']:.2f}", f"{row['rss'] / 2**20:.0f}")
    Console(width=120).print(table)


def main() -> None:
    """Measure, print the table, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000, help="tasks for speed")
    parser.add_argument("--fewest", type=int, default=100, help="tasks of the smaller project for memory")
    parser.add_argument("--most", type=int, default=10_000, help="tasks of the larger project for memory")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folder = Path(tempfile.mkdtemp(prefix="coco-export-"))
    rows: list[dict[str, Any]] = []

    def run(name: str, export: Callable[[Path, Path, int], None], processes: int, tasks: int) -> dict[str, Any]:
        path, out = folder / f"{tasks}.json", folder / f"{name}-{processes}-{tasks}"
        if not path.exists():
            write_project(path, tasks)
        seconds, rss = measure(export, path, out, processes)
        masks = tasks * MASKS_PER_TASK
        rows.append({"exporter": name, "processes": processes, "tasks": tasks, "masks": masks, "seconds": round(seconds, 2)})
        rows[-1] |= {"ms_per_mask": round(seconds * 1e3 / masks, 3), "rss": rss}
        return rows[-1] | {"out": out}

    try:
        ours = run("wordmask", export_ours, cores, arguments.tasks)
        sdk = run("label_studio_sdk", export_sdk, 1, arguments.tasks)
        single = run("wordmask", export_ours, 1, arguments.tasks)
        small = run("wordmask", export_ours, cores, arguments.fewest)
        figures = {
            "speed_vs_sdk": round(sdk["seconds"] / ours["seconds"], 2),
            "speed_vs_sdk_one_process": round(sdk["seconds"] / single["seconds"], 2),
            "masks_exact": all_exact(ours["out"] / "instances.json"),
        }
        large = run("wordmask", export_ours, cores, arguments.most)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_table(rows)
    print(
        json.dumps({"speed_vs_sdk": figures["speed_vs_sdk"], "rss_growth": round(large["rss"] / small["rss"], 3), **figures, "rows": rows})
    )


if __name__ == "__main__":
    main()
