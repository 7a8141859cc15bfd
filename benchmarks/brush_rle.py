"""Label Studio's brush RLE: ours against ``label_studio_sdk`` and ``label-studio-brush-rle-rs``, on smooth and noisy masks.

Run: ``.venv/bin/python benchmarks/brush_rle.py`` (about a minute). The last line is one JSON object; ``smooth_speedup_min`` and
``noise_speedup_min`` are the smallest ratios of the SDK's time to ours over all sizes and both directions, each the median of
several repeats of both in turn, measured in this run.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import label_studio_brush_rle_rs as rust
import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter import brush as sdk
from rich.console import Console
from rich.table import Table

from backend import brush_rle

SMOOTH_SIZES_HW = [(512, 512), (1024, 1024), (2048, 2048), (3000, 4000)]
NOISE_SIZES_HW = [(512, 512), (1024, 1024), (1000, 4000)]
"""Noise of 3000 x 4000 pixels would keep the SDK busy for a minute at about the same ratios."""

ENOUGH_SECONDS = 0.5
"""A function that has run for this long is not repeated; large noise takes the SDK many seconds."""

MOST_REPEATS = 9


def smooth_mask(size_hw: tuple[int, int], seed: int = 0) -> npt.NDArray[np.uint8]:
    """A dozen ellipses with wavy rims, uint8 0 or 255: the shape of what a segmentation model gives."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    mask = np.zeros(size_hw, dtype=bool)
    for _ in range(12):
        centre_y, centre_x = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(0.05, 0.2) * min(height, width)
        dy, dx = (y - centre_y) / rng.uniform(0.7, 1.4), x - centre_x
        wave = 1 + 0.15 * np.sin(np.arctan2(dy, dx) * rng.integers(3, 8))
        mask |= dy**2 + dx**2 < (radius * wave) ** 2
    return mask * np.uint8(255)


def noisy_mask(size_hw: tuple[int, int], seed: int = 0) -> npt.NDArray[np.uint8]:
    """Every pixel on or off by chance: the worst case of any run-length code."""
    return (np.random.default_rng(seed).random(size_hw) < 0.5) * np.uint8(255)


def run_in_turn(functions: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds and the result of each function; they take turns, so that a slow moment of the machine meets them all."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    results: dict[str, Any] = {}
    for _ in range(MOST_REPEATS):
        for name, function in functions.items():
            if sum(times[name]) < ENOUGH_SECONDS:
                start = time.perf_counter()
                results[name] = function()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}, results


def measure(kind: str, mask: npt.NDArray[np.uint8]) -> tuple[list[dict[str, Any]], bool]:
    """One row per direction, and whether every decoder gave back the mask, ours from the SDK's stream too."""
    size_hw = (mask.shape[0], mask.shape[1])
    encode_seconds, streams = run_in_turn(
        {
            "ours": lambda: brush_rle.encode(mask),
            "sdk": lambda: sdk.mask2rle(mask),
            "rust": lambda: list(rust.encode_rle(np.repeat(mask.ravel(), 4), 8, [3, 4, 8, 16])),
        }
    )
    decode_seconds, decoded = run_in_turn(
        {
            "ours": lambda: brush_rle.decode(streams["ours"], size_hw),
            "sdk": lambda: sdk.decode_rle(streams["ours"]).reshape(*size_hw, 4)[..., 3],
            "rust": lambda: rust.decode_rle(streams["ours"], False).reshape(*size_hw, 4)[..., 3],
        }
    )
    decoded |= {f"ours from {name}": brush_rle.decode(streams[name], size_hw) for name in ("sdk", "rust")}
    rows = [
        {"mask": kind, "size_hw": list(size_hw), "direction": direction, "integers": len(streams["ours"])}
        | {f"{name}_ms": round(value * 1e3, 3) for name, value in seconds.items()}
        for direction, seconds in (("encode", encode_seconds), ("decode", decode_seconds))
    ]
    return rows, all(np.array_equal(alpha, mask) for alpha in decoded.values())


def speedup_min(rows: list[dict[str, Any]], kind: str, other: str) -> float:
    """The smallest ratio of another implementation's time to ours."""
    return round(float(min(row[f"{other}_ms"] / row["ours_ms"] for row in rows if row["mask"] == kind)), 2)


def print_table(rows: list[dict[str, Any]]) -> None:
    table = Table(title="Label Studio brush RLE, milliseconds (median)")
    for heading in ("mask", "size", "direction", "integers", "ours", "SDK", "SDK / ours", "rust", "rust / ours"):
        table.add_column(heading, justify="left" if heading in ("mask", "direction") else "right")
    for row in rows:
        ours = row["ours_ms"]
        cells = [row["mask"], "x".join(map(str, row["size_hw"])), row["direction"], str(row["integers"]), f"{ours:.2f}"]
        for name in ("sdk_ms", "rust_ms"):
            cells += [f"{row[name]:.2f}", f"{row[name] / ours:.1f}x"]
        table.add_row(*cells)
    Console(width=120).print(table)


def main() -> None:
    """Measure, print the table, then the figures as JSON."""
    masks = [("smooth", smooth_mask(size_hw)) for size_hw in SMOOTH_SIZES_HW]
    masks += [("noise", noisy_mask(size_hw)) for size_hw in NOISE_SIZES_HW]
    rows: list[dict[str, Any]] = []
    exact = True
    for kind, mask in masks:
        found, round_trips = measure(kind, mask)
        rows += found
        exact = exact and round_trips
    print_table(rows)
    figures = {
        "smooth_speedup_min": speedup_min(rows, "smooth", "sdk"),
        "noise_speedup_min": speedup_min(rows, "noise", "sdk"),
        "round_trips_exact": exact,
        "smooth_speedup_over_rust_min": speedup_min(rows, "smooth", "rust"),
        "noise_speedup_over_rust_min": speedup_min(rows, "noise", "rust"),
        "rows": rows,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
