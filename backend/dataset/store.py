"""Samples on disk: a task's samples are replaced together, in one transaction, and leave together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from backend.dataset.build import BuiltTask
from backend.sqlite_file import SqliteFile
from models import Sample

_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, title TEXT NOT NULL, label_config TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS labels (
    project INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE, label TEXT NOT NULL, since TEXT NOT NULL, PRIMARY KEY (project, label)
);
CREATE TABLE IF NOT EXISTS tasks (
    project INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE, id INTEGER NOT NULL, updated_at TEXT NOT NULL, config TEXT NOT NULL,
    is_complete INTEGER NOT NULL, findings TEXT NOT NULL, PRIMARY KEY (project, id)
);
CREATE TABLE IF NOT EXISTS annotations (
    id INTEGER NOT NULL, project INTEGER NOT NULL, task INTEGER NOT NULL, PRIMARY KEY (project, id),
    FOREIGN KEY (project, task) REFERENCES tasks ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS annotations_of_task ON annotations (project, task);
CREATE TABLE IF NOT EXISTS samples (
    project INTEGER NOT NULL, task INTEGER NOT NULL, item INTEGER NOT NULL, digest TEXT NOT NULL, split TEXT NOT NULL,
    targets INTEGER NOT NULL, expressions INTEGER NOT NULL, sample TEXT NOT NULL, PRIMARY KEY (project, task, item),
    FOREIGN KEY (project, task) REFERENCES tasks ON DELETE CASCADE
);
"""


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project as it was last seen.

    Args:
        id: Label Studio's number.
        label_config: XML.
        config: digest of the XML; a task that was built with another one is to be built again.
        labels_since: when each label was first seen in the config; empty for those of the first look.
        created_at: Label Studio's time; tells the project from an older one that had its number.
    """

    id: int
    label_config: str
    config: str
    labels_since: Mapping[str, str]
    created_at: str


@dataclass(frozen=True, slots=True)
class SeenProject:
    """A project's number, its title, and when it was made: whole seconds since 1970, as in Label Studio's ``ID.EPOCH``."""

    id: int
    title: str
    epoch: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a project has given; ``by_split`` counts samples."""

    tasks: int
    samples: int
    targets: int
    expressions: int
    by_split: Mapping[str, int]
    incomplete: int


class SampleStore:
    """The samples of every project. Safe between threads and processes; ``kill -9`` leaves the state before or after a change.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    def see_project(self, project: Mapping[str, Any], labels: Sequence[str], now: str) -> KnownProject:
        """Note a project as Label Studio tells it; what an older project of the same number gave leaves.

        Args:
            project: with ``id``, ``created_at``, ``title`` and ``label_config``.
            labels: values of the labels in the config.
            now: time in Label Studio's form.
        """
        number, created_at, config = project["id"], str(project["created_at"]), str(project["label_config"])
        with self._file.write() as database:
            known = database.execute("SELECT created_at FROM projects WHERE id = ?", (number,)).fetchone()
            if known is not None and known["created_at"] != created_at:
                database.execute("DELETE FROM projects WHERE id = ?", (number,))
                known = None
            database.execute(
                "INSERT INTO projects VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET title = excluded.title, label_config = excluded.label_config",
                (number, created_at, str(project.get("title", "")), config),
            )
            since = "" if known is None else now
            rows = [(number, label, since) for label in labels]
            database.executemany("INSERT INTO labels VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)
            return _known_project(database, number)

    def known_tasks(self, project: int) -> dict[int, tuple[str, str]]:
        """For every task that was built completely: when it had changed, and with which config."""
        with self._file.read() as database:
            rows = database.execute("SELECT id, updated_at, config FROM tasks WHERE project = ? AND is_complete", (project,))
            return {row["id"]: (row["updated_at"], row["config"]) for row in rows}

    def all_tasks(self, project: int) -> set[int]:
        """Ids of all tasks that are known, complete or not."""
        with self._file.read() as database:
            return {row["id"] for row in database.execute("SELECT id FROM tasks WHERE project = ?", (project,))}

    def replace(self, project: KnownProject, tasks: Iterable[BuiltTask]) -> None:
        """Put what tasks give now in the place of what they gave before; one that is older than what is there changes nothing."""
        with self._file.write() as database:
            for built in tasks:
                _replace(database, project, built)

    def remove(self, project: int, tasks: Collection[int]) -> int:
        """Take out everything that some tasks gave; returns how many of them were there."""
        with self._file.write() as database:
            removed = [database.execute("DELETE FROM tasks WHERE project = ? AND id = ?", (project, task)).rowcount for task in tasks]
            return sum(removed)

    def remove_project(self, project: int) -> None:
        """Take out everything that a project gave."""
        with self._file.write() as database:
            database.execute("DELETE FROM projects WHERE id = ?", (project,))

    def tasks_of_annotations(self, project: int, annotations: Collection[int]) -> set[int]:
        """The tasks that some annotations belong to, as far as they are known."""
        with self._file.read() as database:
            found = (
                database.execute("SELECT task FROM annotations WHERE project = ? AND id = ?", (project, one)).fetchone()
                for one in annotations
            )
            return {row["task"] for row in found if row is not None}

    def samples(self, project: int) -> Iterator[Sample]:
        """All samples of a project as they are at this moment, by task, one in memory at a time."""
        with self._file.read() as database:
            rows = database.execute("SELECT sample FROM samples WHERE project = ? ORDER BY task, item", (project,))
            for row in rows:
                yield Sample.from_json(json.loads(row["sample"]))

    def findings(self, project: int) -> list[dict[str, Any]]:
        """What could not be used of a project, by task."""
        with self._file.read() as database:
            rows = database.execute("SELECT findings FROM tasks WHERE project = ? AND findings != '[]' ORDER BY id", (project,))
            return [finding for row in rows for finding in json.loads(row["findings"])]

    def counts(self, project: int) -> Counts:
        """How much a project has given."""
        with self._file.read() as database:
            tasks = database.execute("SELECT count(*) AS n, sum(NOT is_complete) AS incomplete FROM tasks WHERE project = ?", (project,))
            found = tasks.fetchone()
            rows = database.execute(
                "SELECT split, count(*) AS n, sum(targets) AS targets, sum(expressions) AS said FROM samples"
                " WHERE project = ? GROUP BY split",
                (project,),
            ).fetchall()
        by_split = {row["split"]: row["n"] for row in rows}
        targets, said = sum(row["targets"] for row in rows), sum(row["said"] for row in rows)
        return Counts(found["n"], sum(by_split.values()), targets, said, by_split, found["incomplete"] or 0)

    def known_project(self, project: int) -> KnownProject | None:
        """A project as it was last seen; ``None`` when it never was."""
        with self._file.read() as database:
            is_known = database.execute("SELECT 1 FROM projects WHERE id = ?", (project,)).fetchone()
            return _known_project(database, project) if is_known else None

    def projects(self) -> list[SeenProject]:
        """Every project that was seen, by number."""
        with self._file.read() as database:
            rows = database.execute("SELECT id, title, created_at FROM projects ORDER BY id").fetchall()
        return [SeenProject(row["id"], row["title"], _epoch(row["created_at"])) for row in rows]

    def doubt(self, digests: Iterable[str]) -> None:
        """Take the tasks of some images for incomplete, so that they are built again: their images have vanished."""
        with self._file.write() as database:
            database.executemany(
                "UPDATE tasks SET is_complete = 0 WHERE EXISTS"
                " (SELECT 1 FROM samples WHERE samples.project = tasks.project AND samples.task = tasks.id AND digest = ?)",
                [(digest,) for digest in digests],
            )

    def digests(self) -> set[str]:
        """Digests of the images of all samples of all projects."""
        with self._file.read() as database:
            return {row["digest"] for row in database.execute("SELECT DISTINCT digest FROM samples")}


def _replace(database: Connection, project: KnownProject, built: BuiltTask) -> None:
    is_newer = database.execute(
        "SELECT 1 FROM tasks WHERE project = ? AND id = ? AND updated_at > ?", (project.id, built.id, built.updated_at)
    ).fetchone()
    if is_newer is not None:
        return
    database.execute("DELETE FROM tasks WHERE project = ? AND id = ?", (project.id, built.id))
    findings = json.dumps([finding.to_json() for finding in built.findings if finding.severity != "note"])
    row = (project.id, built.id, built.updated_at, project.config, built.is_complete, findings)
    database.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?)", row)
    rows = [(annotation, project.id, built.id) for annotation in built.annotations]
    database.executemany("INSERT OR REPLACE INTO annotations VALUES (?, ?, ?)", rows)
    for one in built.samples:
        sample, text = one.sample, json.dumps(one.sample.to_json(), separators=(",", ":"))
        values = (project.id, built.id, one.item, one.digest, sample.split, len(sample.targets), len(sample.expressions), text)
        database.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _known_project(database: Connection, project: int) -> KnownProject:
    row = database.execute("SELECT label_config, created_at FROM projects WHERE id = ?", (project,)).fetchone()
    config: str = row["label_config"]
    since = {row["label"]: row["since"] for row in database.execute("SELECT label, since FROM labels WHERE project = ?", (project,))}
    return KnownProject(project, config, hashlib.sha256(config.encode()).hexdigest()[:16], since, row["created_at"])


def _epoch(created_at: str) -> float:
    try:
        return float(int(datetime.fromisoformat(created_at).timestamp()))
    except ValueError:
        return 0.0
