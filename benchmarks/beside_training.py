"""Does an annotator notice that a job trains? ``/predict`` and ``/webhook`` while it does, against the same service at rest.

Run: ``.venv/bin/python benchmarks/beside_training.py`` (five minutes on two cores). A real Label Studio and the service with its default
settings: some tasks are corrected, then images that the service sees for the first time are asked for one after the other, as by somebody
who opens one task after the other: at rest, while the job that the Train button asked for trains, and at rest again. Between two of them an
event of the project goes to ``/webhook``.

The last line is one JSON object. ``predict_p95_ratio`` is the 95th percentile of ``/predict`` while the job trains over that at rest (of
both times together); at most 2 is wanted. ``webhook_share_of_limit`` is the 95th percentile of ``/webhook`` while it trains as a share of
the 100 ms that an event may take, ``webhook_slowest_share`` the slowest one's. ``trained_through`` tells whether the job was still training
when the last answer came.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import requests
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what is not installed: tools, and the files beside this one

from benchmarks.simulated_annotator import Annotator, Place, running
from models.data.emoji_scenes import CLASSES
from models.evaluation_splits import prepare_split

SCENES_OF_A_SPLIT = 500
"""As many as ``wordmask evaluate`` makes, so that both share the folder."""
LABELS = 8
WEBHOOK_LIMIT_SECONDS = 0.1
EVENTS_PER_ANSWER = 2
WARM_UP = 3
"""Requests before the first one that counts."""
FIRST_STEPS_SECONDS = 300.0
"""So long a job may read, embed and begin."""


class Times(NamedTuple):
    """Seconds of every call."""

    predict: list[float]
    webhook: list[float]


class Client:
    """Asks as Label Studio does.

    Args:
        place: of both.
        project: number.
        label_config: of the project.
    """

    def __init__(self, place: Place, project: int, label_config: str) -> None:
        self._place, self._project, self._label_config = place, project, label_config
        self._session = requests.Session()

    def measure(self, tasks: Sequence[int]) -> Times:
        """Open tasks one after the other, and tell of events in between."""
        times = Times([], [])
        for task in tasks:
            body = {"tasks": [self._place.api.task(task)], "project": f"{self._project}.1", "label_config": self._label_config}
            times.predict.append(self._seconds("/predict", body))
            event = {"action": "ANNOTATION_UPDATED", "project": {"id": self._project}, "task": {"id": task}}
            times.webhook.extend(self._seconds("/webhook", event) for _ in range(EVENTS_PER_ANSWER))
        return times

    def _seconds(self, path: str, body: Any) -> float:
        start = time.perf_counter()
        self._session.post(self._place.service_url + path, json=body, timeout=100).raise_for_status()
        return time.perf_counter() - start


def main() -> None:
    """Measure, print the table, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corrected", type=int, default=30, help="tasks to learn from")
    parser.add_argument("--asked", type=int, default=60, help="tasks asked for, each of three times others")
    parser.add_argument("--data", type=Path, default=Path("runs/evaluation"), help="where the scenes are, or are made")
    options = parser.parse_args()
    scenes = prepare_split("held-out-scenes", SCENES_OF_A_SPLIT, options.data)
    with tempfile.TemporaryDirectory(prefix="wordmask-beside-training-") as folder, running(Path(folder)) as place:
        annotator = Annotator(place, scenes, CLASSES[:LABELS])
        project, indices = annotator.new_project("beside training", range(options.corrected + 3 * options.asked + WARM_UP))
        tasks = sorted(indices)
        client = Client(place, project, annotator.label_config())
        corrected, *parts = np.split(np.array(tasks), [options.corrected + options.asked * part for part in range(4)])
        for task in corrected.tolist():
            annotator.annotate(task, indices[task])
        client.measure(parts.pop().tolist())
        before = client.measure(parts[0].tolist())
        annotator.press_train(project)
        wait_for_steps(annotator, project)
        during = client.measure(parts[1].tolist())
        is_training = annotator.jobs(project)[0]["ended_at"] is None
        wait_for_end(annotator, project)
        after = client.measure(parts[2].tolist())
    at_rest = Times(before.predict + after.predict, before.webhook + after.webhook)
    table = Table("", "/predict p50, ms", "p95, ms", "/webhook p50, ms", "p95, ms", "slowest, ms")
    for name, times in (("at rest", at_rest), ("while a job trains", during)):
        cells = (p(times.predict, 50), p(times.predict, 95), p(times.webhook, 50), p(times.webhook, 95), max(times.webhook))
        table.add_row(name, *(f"{1e3 * seconds:.1f}" for seconds in cells))
    Console().print(table)
    figures = {
        "predict_p95_ratio": round(p(during.predict, 95) / p(at_rest.predict, 95), 2),
        "predict_p50_ratio": round(p(during.predict, 50) / p(at_rest.predict, 50), 2),
        "webhook_share_of_limit": round(p(during.webhook, 95) / WEBHOOK_LIMIT_SECONDS, 3),
        "webhook_slowest_share": round(max(during.webhook) / WEBHOOK_LIMIT_SECONDS, 3),
        "trained_through": is_training,
    }
    print(json.dumps(figures))


def p(seconds: Sequence[float], percent: float) -> float:
    """A percentile."""
    return float(np.percentile(seconds, percent))


def wait_for_steps(annotator: Annotator, project: int) -> None:
    """Until the newest job has made its first steps."""
    deadline = time.monotonic() + FIRST_STEPS_SECONDS
    while time.monotonic() < deadline:
        jobs = annotator.jobs(project)
        if jobs and jobs[0]["ended_at"]:
            raise RuntimeError(f"the job ended before it was measured: {jobs[0]['note']}")
        if jobs and "step" in (jobs[0]["note"] or ""):
            return
        time.sleep(0.5)
    raise RuntimeError("the job does not begin")


def wait_for_end(annotator: Annotator, project: int) -> None:
    """Until the newest job is over."""
    while not annotator.jobs(project)[0]["ended_at"]:
        time.sleep(1.0)


if __name__ == "__main__":
    main()
