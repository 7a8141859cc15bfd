"""A data folder in which something has happened: jobs, corrections, versions with scores and pictures."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from PIL import Image

from backend.dataset.prepare import sample_store
from backend.event_store import EventStore
from backend.events import Event
from backend.jobs.sqlite_queue import SqliteQueue
from backend.versions.line import VersionLine
from models.version_folder import CurvePoint, LabelScore, Scores
from tests.backend.versions.drafts import make_manifest, write_draft
from tests.factories import make_image, make_settings

PROJECT = 3
EVIL = "<script>alert(1)</script>"
CREATED = "2026-03-01T10:00:00Z"


def scores(**per_label: float) -> Scores:
    """Scores whose mean is that of their labels."""
    return Scores(sum(per_label.values()) / len(per_label), {label: LabelScore(iou, 8) for label, iou in per_label.items()})


def publish_two_versions(data_dir: Path) -> VersionLine:
    """``base.p3.v1`` and ``base.p3.v2``, each better than what was before; pictures belong to the second."""
    line = VersionLine(data_dir, PROJECT)
    steps = [scores(Cat=0.31, Dog=0.42), scores(Cat=0.48, Dog=0.61), scores(Cat=0.63, Dog=0.66, Fox=0.4)]
    for number, (before, after) in enumerate(pairwise(steps), 1):
        manifest = make_manifest(
            f"base.p3.v{number}",
            parent="base.p3.v1" if number == 2 else None,
            serving=before,
            candidate=after,
            curve=[CurvePoint(epoch, 2.4 / (1 + epoch), before.mean + (after.mean - before.mean) * epoch / 6) for epoch in range(7)],
            wall_seconds=312.0,
            created=f"2026-03-0{number}T12:30:00+00:00",
        )
        draft = write_draft(line.new_draft(), manifest)
        pictures = draft / "pictures"
        pictures.mkdir()
        for name, colour in (("0-before", (200, 60, 30)), ("0-after", (20, 160, 110))):
            Image.fromarray(make_image((96, 128), colour)).save(pictures / f"{name}.jpg")
        listed = [{"words": f"the cat {EVIL}", "before": 0.21, "after": 0.84}]
        (pictures / "pictures.json").write_text(json.dumps(listed), encoding="utf-8")
        line.publish(draft)
    return line


def see_project(data_dir: Path, title: str = "Pets", created_at: str = CREATED) -> None:
    """Label Studio has told of the project."""
    project = {"id": PROJECT, "created_at": created_at, "title": title, "label_config": "<View/>"}
    sample_store(make_settings(data_dir)).see_project(project, [], CREATED)


def ask_for_jobs(data_dir: Path) -> list[str]:
    """A job that failed with a reason, and one that runs and has recorded how it learns; their ids."""
    queue, now = SqliteQueue(data_dir / "jobs.sqlite3"), time.time()
    failed = queue.request(PROJECT, "20 new corrections").id
    _set(data_dir, failed, state="failed", note=f"the disk is full {EVIL}", started_at=now - 300, ended_at=now - 100, attempt=2)
    running = queue.request(PROJECT, "asked for in Label Studio").id
    _set(data_dir, running, state="started", note="epoch 2 of 8, step 40 of 160", started_at=now - 60, attempt=1)
    folder = data_dir / "jobs" / running
    folder.mkdir(parents=True)
    record = {"curve": [{"epoch": 1, "validation": 0.4, "train_loss": 1.9}, {"epoch": 2, "validation": 0.47, "train_loss": 1.2}]}
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    return [failed, running]


def _set(data_dir: Path, job: str, **values: object) -> None:
    """Write down what a trainer would have."""
    with closing(sqlite3.connect(data_dir / "jobs.sqlite3")) as database, database:
        database.execute(f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ?", (*values.values(), job))


def record_correction(data_dir: Path) -> None:
    """Somebody has submitted an annotation."""
    EventStore(data_dir / "events.sqlite3").record(Event("ANNOTATION_CREATED", PROJECT, (7,), (5,), CREATED, corrections=1))
