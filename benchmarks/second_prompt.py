"""The first prompt on an image against the second: what keeping image features saves.

Run: ``.venv/bin/python benchmarks/second_prompt.py`` (one to three minutes). The last line is one JSON object;
``second_over_first_vit_b`` and ``second_over_first_tiny`` are medians of the second prompt's time over the first's, through the same
engine that serves Label Studio. The first prompt pays for the image encoders, the second, with other words, only for the text and the
mask. SSP-SAM-224 on SAM ViT-B has random weights: its speed is that of trained ones, its masks are not.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from models import Engine, load_engine
from models.ssp_sam.config import ssp_sam_224_vit_b
from models.ssp_sam.weights import random_engine
from models.types import RgbImage

SIZE_HW = (480, 640)
FIRST, SECOND = "the red car on the left", "a small dog"


def images(count: int) -> Iterator[RgbImage]:
    """Different smooth images, uint8 ``[H, W, 3]``: none is in the cache yet."""
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    for number in range(count):
        waves = [np.sin(rows / (20 + number) + phase) * np.cos(columns / 30 - phase) for phase in range(3)]
        yield (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def measure(engine: Engine, repeats: int) -> dict[str, float]:
    """Median milliseconds of the first and the second prompt over ``repeats`` images, after one that warms up."""
    seconds: dict[str, list[float]] = {"first": [], "second": []}
    for image in images(repeats + 1):
        for prompt, phrase in (("first", FIRST), ("second", SECOND)):
            start = time.perf_counter()
            engine.segment(image, [phrase])
            seconds[prompt].append(time.perf_counter() - start)
    first, second = (statistics.median(values[1:]) for values in seconds.values())
    return {"first_ms": round(first * 1e3, 2), "second_ms": round(second * 1e3, 2), "ratio": round(second / first, 4)}


def main() -> None:
    """Measure, print the table, then the figures as JSON."""
    rows = {
        "tiny": measure(load_engine("tiny", device="cpu"), repeats=15),
        "SSP-SAM-224 on SAM ViT-B, random weights": measure(random_engine(ssp_sam_224_vit_b()), repeats=3),
    }
    table = Table("model", "first prompt, ms", "second prompt, ms", "second / first")
    for name, row in rows.items():
        table.add_row(name, f"{row['first_ms']:.1f}", f"{row['second_ms']:.1f}", f"{row['ratio']:.3f}")
    Console(width=110).print(table)
    tiny, vit_b = rows.values()
    print(
        json.dumps(
            {
                "second_over_first_vit_b": vit_b["ratio"],
                "second_over_first_tiny": tiny["ratio"],
                "threads": torch.get_num_threads(),
                "tiny": tiny,
                "vit_b": vit_b,
            }
        )
    )


if __name__ == "__main__":
    main()
