"""The versions of one project on disk, and the pointer to the one that serves.

A version is a folder that appears by one rename, complete; which one serves is told by one small file that is replaced at once. Whoever
reads at any moment, also after ``kill -9``, sees the state before a change or the state after it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backend.errors import StorageError
from backend.small_file import read_facts, sync, write_facts
from backend.versions.manifest import NoSuchVersion, VersionError, created_at, read_manifest
from models import VersionManifest

POINTER = "serving"

PICTURES = "pictures"
"""Folder of a version with images before and after it; see :func:`models.write_before_after`. It comes after all else, or never."""

_DRAFTS = ".drafts"
_LOCK = ".lock"
_LEFT_SECONDS = 3600.0
"""Whoever made something with a name for a moment is gone after this time."""


@dataclass(frozen=True, slots=True)
class Version:
    """A published version: its number in the line, from 1, its folder, and what it says of itself."""

    number: int
    folder: Path
    manifest: VersionManifest

    @property
    def name(self) -> str:
        """As Label Studio knows it."""
        return self.manifest.version


@dataclass(frozen=True, slots=True)
class VersionLine:
    """The versions of one project. Safe between processes; every method reads the disk anew.

    Args:
        data_dir: folder of the data; the line is in ``versions/<project>`` there. Made when a version is published.
        project: Label Studio's number.
        since: when the project was made, in seconds since 1970. Older versions are of a project that had the same number before it, and
            count for nothing.
    """

    data_dir: Path
    project: int
    since: float = 0.0

    @property
    def folder(self) -> Path:
        """Where the line is."""
        return self.data_dir / "versions" / str(self.project)

    # --- what there is

    def versions(self) -> list[Version]:
        """All versions, oldest first; a folder that is damaged is passed over, as nothing could be served from it."""
        found = []
        for path in _entries(self.folder):
            if path.name.isdecimal():
                with suppress(VersionError):
                    found.append(Version(int(path.name), path, read_manifest(path)))
        ours = (version for version in found if created_at(version.manifest) >= self.since)
        return sorted(ours, key=lambda version: version.number)

    def find(self, name: str) -> Version:
        """A version by its name, or by its number in the line.

        Raises:
            NoSuchVersion: there is none.
        """
        versions = self.versions()
        for version in versions:
            if name in (version.name, str(version.number)):
                return version
        there = ", ".join(version.name for version in versions) or "none yet"
        raise NoSuchVersion(f"project {self.project} has no version {name[:100]!r}; it has: {there}")

    def serving(self) -> Version | None:
        """The version that serves; ``None`` for the base weights.

        Raises:
            VersionError: the pointer names a version that is not there, or is damaged.
        """
        number = self._pointed()
        if number is None:
            return None
        folder = self.folder / str(number)
        manifest = read_manifest(folder)
        return Version(number, folder, manifest) if created_at(manifest) >= self.since else None

    def stamp(self) -> tuple[int, int]:
        """Changes whenever another version serves. Costs one look at the file system: cheap enough for every second and every request."""
        try:
            status = os.stat(self.folder / POINTER)
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)

    # --- what changes it

    @contextmanager
    def training(self) -> Iterator[None]:
        """Nobody else trains this project meanwhile; waits for whoever does. The kernel lets go when a process dies."""
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / _LOCK).open("a")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def new_draft(self) -> Path:
        """A place for the next version, on the same file system; earlier drafts are removed. Call it while :meth:`training`."""
        self.discard_drafts()
        drafts = self.folder / _DRAFTS
        with self._writing():
            drafts.mkdir(parents=True)
        return drafts / "draft"

    def discard_drafts(self) -> None:
        """Remove what was not published, which is as large as a version, and what a killed process left out of sight."""
        shutil.rmtree(self.folder / _DRAFTS, ignore_errors=True)
        for path in self.folder.glob(".*-*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def next_number(self) -> int:
        """Number of the next version; none is ever given twice, as the newest is never pruned."""
        return max((int(path.name) for path in _entries(self.folder) if path.name.isdecimal()), default=0) + 1

    def publish(self, draft: Path) -> Version:
        """Let a draft become the next version and serve.

        Args:
            draft: a complete folder on the same file system; it moves.

        Raises:
            VersionError: the draft is not complete.
            StorageError: the disk is full or not ours; what served goes on serving.
        """
        manifest = read_manifest(draft)
        number = self.next_number()
        target = self.folder / str(number)
        with self._writing():
            target.parent.mkdir(parents=True, exist_ok=True)
            for path in (*_entries(draft), draft):
                sync(path)
            os.rename(draft, target)  # onto a folder with something in it this fails, and two publishers cannot both succeed
            sync(self.folder)
        self._point(number)
        return Version(number, target, manifest)

    def serve(self, version: Version, *, instead_of: str | None) -> None:
        """Let a published version serve if ``instead_of`` still does; ``None`` for the base. For whoever died right after the rename."""
        serving = self.serving()
        if (serving.name if serving is not None else None) == instead_of:
            self._point(version.number)

    def roll_back(self, to: str | None = None) -> Version | None:
        """Let an older version serve again, to the bit.

        Args:
            to: its name or number, ``base`` for the weights that all versions come from. When left out, the one that served before this
                one: its parent.

        Returns:
            What serves now, ``None`` for the base.

        Raises:
            NoSuchVersion: there is none of that name, or the parent was pruned.
            VersionError: the base serves already.
        """
        if to is None:
            serving = self.serving()
            if serving is None:
                raise VersionError(f"project {self.project} is served by the base weights; there is nothing before them")
            to = serving.manifest.parent or "base"
        if to == "base":
            self._point(None)
            return None
        found = self.find(to)
        self._point(found.number)
        return found

    def prune(self, keep: int) -> list[str]:
        """Remove old versions: all but the one that serves, the newest ``keep``, and the parent that a roll-back would go to.

        Args:
            keep: at least 1, so that numbers are never given twice.

        Returns:
            Names of what was removed.
        """
        versions, serving = self.versions(), self.serving()
        kept = {version.number for version in versions[-max(1, keep) :]}
        names = set() if serving is None else {serving.name, serving.manifest.parent}
        gone = [version for version in versions if version.number not in kept and version.name not in names]
        with self._writing():
            for version in gone:
                out_of_sight = Path(tempfile.mkdtemp(prefix=".pruned-", dir=self.folder))
                os.rename(version.folder, out_of_sight / "version")  # at once: no reader meets half of it
                shutil.rmtree(out_of_sight)
        return [version.name for version in gone]

    # --- the pointer

    def _pointed(self) -> int | None:
        try:
            number = read_facts(self.folder / POINTER).get("number")
            if not isinstance(number, int | None):
                raise ValueError(f"expected a number, found {number!r}")
        except (OSError, ValueError) as error:
            raise VersionError(
                f"{self.folder / POINTER} cannot be read ({error}); choose with `wordmask versions rollback --project {self.project} --to`"
            ) from error
        return number

    def _point(self, number: int | None) -> None:
        with self._writing():
            write_facts(self.folder / POINTER, {"number": number})

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"versions cannot be kept in {self.folder}: {error}; free some space or check the permissions") from error


def lines(data_dir: Path) -> list[VersionLine]:
    """The lines of all projects that have one."""
    return [VersionLine(data_dir, int(path.name)) for path in _entries(data_dir / "versions") if path.name.isdecimal()]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
