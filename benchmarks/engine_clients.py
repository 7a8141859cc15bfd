"""64 clients at once against one engine: how fast, and is every answer right? Part of ``engine.py``.

An answer is right when it has the segments of a quiet engine's answer, with scores within 1e-4 and with the same masks: to the last pixel
in float32 on the processor, elsewhere up to a thousandth of the pixels, because kernels round by the size of a batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from models.answer import Answer
from models.ssp_sam.engine import SspSamEngine
from models.types import RgbImage

CLIENTS = 64
SHARED = 8
"""Images in one run of the encoders, where runs are shared."""

Request = tuple[RgbImage, str]


def ask_concurrently(make: Callable[[int], SspSamEngine], requests: Sequence[Request], *, is_exact: bool) -> dict[str, Any]:
    """All clients without and with shared batches, after a quiet engine that knows the right answers.

    Args:
        make: a fresh engine whose runs take so many images.
        requests: image and phrase, in turn for the clients; some images more than once.
        is_exact: masks must be equal to the last pixel.
    """
    right, _, quiet_seconds = run_clients(make(1), requests, 1)
    figures: dict[str, Any] = {"requests": len(requests), "sequential_per_s": len(requests) / quiet_seconds}
    for name, micro_batch in (("off", 1), ("on", SHARED)):
        found, seconds, whole = run_clients(make(micro_batch), requests, CLIENTS)
        figures[name] = {
            "wrong": sum(differs(a, b, 0.0 if is_exact else 1e-3) for a, b in zip(found, right, strict=True)),
            "not_identical": sum(not np.array_equal(a.mask, b.mask) for a, b in zip(found, right, strict=True)),
            "p50_ms": 1e3 * float(np.percentile(seconds, 50)),
            "p95_ms": 1e3 * float(np.percentile(seconds, 95)),
            "per_s": len(requests) / whole,
        }
    return figures


def run_clients(engine: SspSamEngine, requests: Sequence[Request], clients: int) -> tuple[list[Answer], list[float], float]:
    """All requests, by so many clients at once: answers and seconds of each in order, and seconds of the whole."""
    together = threading.Barrier(clients + 1)
    answers: list[Any] = [None] * len(requests)
    seconds = [0.0] * len(requests)

    def client(first: int) -> None:
        together.wait()
        for number in range(first, len(requests), clients):
            start = time.perf_counter()
            answers[number] = engine.segment_scored(requests[number][0], [requests[number][1]])[0]
            seconds[number] = time.perf_counter() - start

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client, first) for first in range(clients)]
        together.wait()
        start = time.perf_counter()
        for one in running:
            one.result()
    return answers, seconds, time.perf_counter() - start


def differs(found: Answer, expected: Answer, pixels: float) -> bool:
    """Whether an answer is another one: other segments or scores, or more than a share of other pixels in the mask behind them."""
    if len(found.segments) != len(expected.segments) or abs(found.presence - expected.presence) > 1e-4:
        return True
    if any(abs(a.score - b.score) > 1e-4 for a, b in zip(found.segments, expected.segments, strict=True)):
        return True
    masks = [(found.mask, expected.mask), *((a.mask, b.mask) for a, b in zip(found.segments, expected.segments, strict=True))]
    return any(float(np.mean(a != b)) > pixels for a, b in masks)
