"""What the page shows, read from disk: jobs, corrections that wait, and per project its versions, scores and pictures. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from backend.dataset.prepare import sample_store
from backend.dataset.store import SampleStore, SeenProject
from backend.event_store import StoredEvent, Unasked
from backend.jobs.job import Job, JobState
from backend.jobs.record import read_record
from backend.page.charts import learning_curve, version_curve
from backend.service import Service
from backend.versions.line import PICTURES, Version, VersionLine, lines
from backend.versions.manifest import VersionError

_SHOWN_JOBS = 20
_SHOWN_EVENTS = 20
_SHOWN_VERSIONS = 4
_SHOWN_FINDINGS = 10


@dataclass(frozen=True, slots=True)
class LabelTable:
    """IoU per label, one column per version, ``None`` where a label was not measured."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[float | None, ...]], ...]
    """Label, number of expressions in the newest column, values."""


@dataclass(frozen=True, slots=True)
class PicturePair:
    """One validation image, answered before and after a version."""

    place: int
    words: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class ProjectView:
    """One project of Label Studio as the page shows it.

    Args:
        number: Label Studio's.
        title: empty where it was never seen.
        waiting: corrections for which no job was asked yet.
        samples: images that corrections were made on.
        findings: what could not be used of it, the first few.
        more_findings: how many there are beyond these.
        versions: newest first.
        serving: number of the version that serves, ``None`` for the base.
        curves: title and SVG of each.
        labels: of the newest versions; ``None`` without any.
        pictures: of the version that serves.
        problem: why the versions cannot be told.
    """

    number: int
    title: str
    waiting: Unasked | None
    samples: int
    findings: tuple[dict[str, Any], ...]
    more_findings: int
    versions: tuple[Version, ...]
    serving: int | None
    curves: tuple[tuple[str, Markup], ...]
    labels: LabelTable | None
    pictures: tuple[PicturePair, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class JobView:
    """One job, and how it learns or has learned, where that is known on this machine."""

    job: Job
    curve: Markup | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page."""

    jobs: tuple[JobView, ...]
    is_busy: bool
    """A job waits or runs, so that the page will soon say something else."""
    projects: tuple[ProjectView, ...]
    events: tuple[StoredEvent, ...]


def read_overview(service: Service) -> Overview:
    """Read what there is to show.

    Raises:
        StorageError: a database cannot be read.
    """
    jobs, waiting = service.learning.queue.jobs(_SHOWN_JOBS), {found.project: found for found in service.learning.events.unasked()}
    store = sample_store(service.settings)
    seen = {project.id: project for project in store.projects()}
    numbers = {*seen, *waiting, *(job.project for job in jobs), *(line.project for line in lines(service.settings.shared_folder))}
    projects = [_project(service, store, number, seen.get(number), waiting.get(number)) for number in sorted(numbers)]
    is_busy = any(job.state in (JobState.QUEUED, JobState.STARTED) for job in jobs)
    return Overview(
        tuple(_job(service, job) for job in jobs), is_busy, tuple(projects), tuple(service.learning.events.recent(_SHOWN_EVENTS))
    )


def _job(service: Service, job: Job) -> JobView:
    curve = read_record(service.settings.data_dir, job.id).get("curve") if job.state is not JobState.QUEUED else None
    return JobView(job, learning_curve(curve) if isinstance(curve, list) else None)


def _project(service: Service, store: SampleStore, number: int, seen: SeenProject | None, waiting: Unasked | None) -> ProjectView:
    line = VersionLine(service.settings.shared_folder, number, seen.epoch if seen else 0.0)
    versions, serving, problem = line.versions(), None, None
    try:
        serving = line.serving()
    except VersionError as error:
        problem = error.message
    findings = store.findings(number) if seen else []
    shown = versions[-_SHOWN_VERSIONS:]
    newest = [asdict(point) for point in versions[-1].manifest.curve] if versions else []
    curves = [("How the newest version learned", learning_curve(newest)), ("Every version", version_curve(versions))]
    return ProjectView(
        number=number,
        title=seen.title if seen else "",
        waiting=waiting,
        samples=store.counts(number).samples if seen else 0,
        findings=tuple(findings[:_SHOWN_FINDINGS]),
        more_findings=max(0, len(findings) - _SHOWN_FINDINGS),
        versions=tuple(reversed(versions)),
        serving=serving.number if serving else None,
        curves=tuple((title, svg) for title, svg in curves if svg is not None),
        labels=_label_table(shown),
        pictures=_pictures(serving.folder) if serving else (),
        problem=problem,
    )


def _label_table(versions: Sequence[Version]) -> LabelTable | None:
    """Each version's own scores, and before them those of what the oldest that is shown began from."""
    if not versions:
        return None
    first, newest = versions[0].manifest, versions[-1].manifest.candidate
    measured = [(first.parent or "base", first.serving), *((version.name, version.manifest.candidate) for version in versions)]
    columns = [{label: score.iou for label, score in scores.per_label.items()} for _, scores in measured]
    counts = {label: score.count for label, score in newest.per_label.items()}
    labels = sorted({label for column in columns for label in column}, key=lambda label: (-counts.get(label, 0), label))
    rows = [(label, counts.get(label, 0), tuple(column.get(label) for column in columns)) for label in labels]
    return LabelTable(tuple(name for name, _ in measured), tuple(rows)) if rows else None


def _pictures(version: Path) -> tuple[PicturePair, ...]:
    try:
        listed = json.loads((version / PICTURES / "pictures.json").read_bytes())
        return tuple(PicturePair(place, str(one["words"]), float(one["before"]), float(one["after"])) for place, one in enumerate(listed))
    except (OSError, ValueError, KeyError, TypeError):
        return ()  # a version without pictures is as good as one with
