"""How much of ``/predict`` is not the model: HTTP, JSON, the labeling config, fetching and decoding the image, encoding the masks.

Run: ``.venv/bin/python benchmarks/overhead.py`` (about a minute). The real service runs under gunicorn on loopback, fetches JPEG files
from a local web server and answers four-label batches, one task a request as Label Studio asks when a task is opened. The last line is
one JSON object; ``overhead_share`` is the share of the time until the answer has arrived that was spent outside the engine, over all
sizes, for images that the service sees for the first time. ``overhead_share_known`` is the same for images it has seen: then the engine
runs no image encoder, and what remains around it weighs more.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
from flask import Response
from rich.console import Console
from rich.table import Table

from backend.app import create_app
from backend.server import listen, run_gunicorn, url_of
from backend.settings import Settings
from models import Engine, RgbImage, load_engine

SIZES = (256, 512, 1024)
IMAGES_PER_SIZE = 6
LABELS = ("apple", "car", "dog", "tree")
CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + "</BrushLabels></View>"
)
ENGINE_HEADER = "X-Engine-Seconds"


class TimedEngine:
    """An engine that adds up, per thread and so per request, the time that it takes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.version = engine.version
        self.spent = threading.local()

    def segment(self, image: RgbImage, phrases: list[str]) -> Any:
        """As the engine that is timed."""
        start = time.perf_counter()
        try:
            return self._engine.segment(image, phrases)
        finally:
            self.spent.seconds = getattr(self.spent, "seconds", 0.0) + time.perf_counter() - start


def serve(folder: Path, profile: str) -> None:
    """The process of the service: prints its address, then serves until it is ended."""
    settings = Settings.model_validate({"data_dir": folder, "allow_private_hosts": True})
    listener = listen("127.0.0.1", 0)
    print(url_of(listener), flush=True)

    def make_app(worker: int) -> Any:
        engine = TimedEngine(load_engine(profile, device="cpu"))
        app = create_app(settings, engine, worker=worker)  # type: ignore[arg-type]

        @app.after_request
        def _tell(response: Response) -> Response:
            response.headers[ENGINE_HEADER] = str(getattr(engine.spent, "seconds", 0.0))
            engine.spent.seconds = 0.0
            return response

        return app

    run_gunicorn(make_app, listener, threads=settings.http_threads)


@contextmanager
def service(folder: Path, profile: str) -> Iterator[str]:
    """The address of a running service."""
    command = [sys.executable, __file__, "--serve", str(folder), "--profile", profile]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            requests.get(url + "/ready", timeout=120).raise_for_status()
            yield url
        finally:
            process.terminate()


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """The address of a web server for the files of ``folder``."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def write_images(folder: Path) -> None:
    """Pictures of a few coloured things on a mottled ground, as JPEG files of every size."""
    rng = np.random.default_rng(0)
    for size in SIZES:
        for number in range(IMAGES_PER_SIZE + 1):
            ground = cv2.resize(rng.integers(60, 200, (16, 16, 3), dtype=np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
            for _ in range(6):
                centre = rng.integers(size // 8, size - size // 8, 2).tolist()
                colour = rng.integers(0, 256, 3).tolist()
                cv2.circle(ground, centre, int(rng.integers(size // 16, size // 6)), colour, thickness=-1)
            cv2.imwrite(str(folder / f"{size}-{number}.jpg"), ground)


def ask(session: requests.Session, url: str, image: str) -> dict[str, float]:
    """Seconds in all, seconds in the engine, and regions of one request."""
    body = {"tasks": [{"id": 1, "data": {"image": image}}], "label_config": CONFIG, "project": "1.1", "params": {"context": None}}
    start = time.perf_counter()
    answer = session.post(url + "/predict", json=body, timeout=100)
    results = answer.json()["results"]
    total = time.perf_counter() - start
    return {"total": total, "engine": float(answer.headers[ENGINE_HEADER]), "regions": len(results[0]["result"])}


def measure(profile: str) -> dict[str, dict[int, dict[str, float]]]:
    """Mean figures per image size, for images seen for the first and for the second time."""
    figures: dict[str, dict[int, dict[str, float]]] = {"first": {}, "known": {}}
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) / "pictures"
        pictures.mkdir()
        write_images(pictures)
        with file_server(pictures) as files, service(Path(scratch) / "state", profile) as url, requests.Session() as session:
            for size in SIZES:
                ask(session, url, f"{files}/{size}-{IMAGES_PER_SIZE}.jpg")  # warms up
                for when in figures:
                    rows = [ask(session, url, f"{files}/{size}-{number}.jpg") for number in range(IMAGES_PER_SIZE)]
                    figures[when][size] = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    return figures


def share(rows: dict[int, dict[str, float]]) -> float:
    """Share of the time outside the engine, over all sizes."""
    return 1 - sum(row["engine"] for row in rows.values()) / sum(row["total"] for row in rows.values())


def main() -> None:
    """Measure, print the table, then the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="tiny", help="model to measure with: a profile's name or a weights folder")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.profile)
        return
    figures = measure(arguments.profile)
    table = Table("image", "size, px", "in all, ms", "engine, ms", "outside, ms", "outside / all", "regions")
    for when, rows in figures.items():
        for size, row in rows.items():
            outside = row["total"] - row["engine"]
            cells = (f"{1e3 * row['total']:.1f}", f"{1e3 * row['engine']:.1f}", f"{1e3 * outside:.1f}", f"{outside / row['total']:.3f}")
            table.add_row("seen first" if when == "first" else "known", str(size), *cells, f"{row['regions']:.1f}")
    Console(width=110).print(table)
    print(
        json.dumps(
            {
                "overhead_share": round(share(figures["first"]), 4),
                "overhead_share_known": round(share(figures["known"]), 4),
                "first": {size: {key: round(value, 4) for key, value in row.items()} for size, row in figures["first"].items()},
                "known": {size: {key: round(value, 4) for key, value in row.items()} for size, row in figures["known"].items()},
            }
        )
    )


if __name__ == "__main__":
    main()
