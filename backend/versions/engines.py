"""The engine of each project in a running service: that of the version that serves, swapped in without a restart.

A thread looks at the pointers of the projects that are asked for. A new version is loaded beside the one that answers and takes its place
when it is ready, so no request waits for a swap or is lost in one: whoever was lent the old engine finishes with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import NotReady
from backend.versions.line import VersionLine
from backend.versions.manifest import VersionError
from models import Engine

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Of the five seconds within which a new version has to serve, so many go by at most before it is noticed."""

_RETRY_SECONDS = 30.0
_MOST_SEATS = 1000
"""Projects that are looked after at once; those without versions of their own cost next to nothing."""


@dataclass(eq=False)
class _Seat:
    """One project: which state of its pointer is in place, and the engine that came of it (``None``: the base)."""

    line: VersionLine
    stamp: tuple[int, int] | None = None
    engine: Engine | None = None
    retry_at: float = 0.0
    is_ready: threading.Event = field(default_factory=threading.Event)


class ProjectEngines:
    """Finds the engine of a project. Safe between threads; a process that serves has one.

    Args:
        data_dir: where the lines of versions are.
        load: builds the engine of a version's folder; is given the engine of the base, to share with it what is the same.
        most: engines of versions kept in memory; the longest unused goes, and is loaded again when somebody asks.
        on_problem: told of a version that cannot serve, with its project's number; what served goes on.
        poll_seconds: pause between two looks at the pointers.
    """

    def __init__(
        self,
        data_dir: Path,
        load: Callable[[Path, Engine], Engine],
        *,
        most: int,
        on_problem: Callable[[str, str], None] = lambda project, reason: None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._data_dir = data_dir
        self._load = load
        self._most = most
        self._on_problem = on_problem
        self._poll_seconds = poll_seconds
        self._base: Engine | None = None
        self._seats: OrderedDict[str, _Seat] = OrderedDict()
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def engine(self, project: str, base: Engine, deadline: float) -> Engine:
        """The engine that answers for a project now.

        Args:
            project: Label Studio's ``ID.EPOCH`` or ``ID``; whatever names no project gets the base.
            base: for projects without a version of their own.
            deadline: ``time.monotonic()`` after which nothing is waited for.

        Raises:
            NotReady: the project's version is not loaded by the deadline.
        """
        line = line_of(self._data_dir, project)
        if line is None:
            return base
        seat = self._seat(project, line, base)
        if not seat.is_ready.wait(max(0.0, deadline - time.monotonic())):
            raise NotReady(f"the version of project {line.project} is still loading; ask again in a moment")
        return base if seat.engine is None else seat.engine

    def version(self, project: str, base_version: str) -> str:
        """Name of the version that answers, or is going to, for a project; nothing is loaded for it. Arguments as :meth:`engine`."""
        line = line_of(self._data_dir, project)
        if line is None:
            return base_version
        with self._lock:
            seat = self._seats.get(project)
        if seat is not None and seat.is_ready.is_set():
            return seat.engine.version if seat.engine is not None else base_version
        try:
            serving = line.serving() if line.stamp() != (0, 0) else None
        except VersionError:
            return base_version
        return serving.name if serving is not None and serving.manifest.base.version == base_version else base_version

    def _seat(self, project: str, line: VersionLine, base: Engine) -> _Seat:
        with self._lock:
            seat = self._seats.get(project)
            if seat is None:
                seat = self._seats[project] = _Seat(line)
                if line.stamp() == (0, 0):
                    seat.stamp = (0, 0)
                    seat.is_ready.set()
                else:
                    self._wake.set()
            self._seats.move_to_end(project)
            if self._base is None:
                self._base = base
                threading.Thread(target=self._watch, name="watch-versions", daemon=True).start()
        return seat

    # --- the thread

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except Exception:  # whatever it is, the next look may succeed, and what serves goes on
                logger.exception("something unexpected while looking for new versions")
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _look(self) -> None:
        with self._lock:
            seats = list(self._seats.items())
        for project, seat in seats:
            stamp = seat.line.stamp()
            if stamp != seat.stamp or (seat.retry_at and time.monotonic() >= seat.retry_at):
                self._make_room(beside=project)
                self._take_up(project, seat, stamp)

    def _take_up(self, project: str, seat: _Seat, stamp: tuple[int, int]) -> None:
        """Let a seat have what the pointer says; where that cannot be, what it had stays."""
        assert self._base is not None, "whoever made the seat brought the base"
        started = time.monotonic()
        seat.retry_at = 0.0
        try:
            serving = seat.line.serving()
            if serving is None:
                engine = None
            elif serving.manifest.base.version != self._base.version:
                raise VersionError(
                    f"version {serving.name} belongs to the weights {serving.manifest.base.version}, and {self._base.version} are served; "
                    "it serves with those weights again, or train anew"
                )
            else:
                engine = self._load(serving.folder, self._base)
        except Exception as error:  # noqa: BLE001 - a version that cannot be loaded must not take the service with it
            reason = str(error) if isinstance(error, VersionError) else f"{type(error).__name__}: {error}"
            if seat.stamp != stamp:
                logger.warning("project %s: a new version cannot serve: %s", project, reason)
                self._on_problem(project, f"a new version cannot serve, what served before goes on: {reason}")
            seat.retry_at = time.monotonic() + _RETRY_SECONDS
        else:
            seat.engine = engine
            version = engine.version if engine is not None else self._base.version
            logger.info("project %s is served by %s after %.1f s", project, version, time.monotonic() - started)
        seat.stamp = stamp
        seat.is_ready.set()

    def _make_room(self, beside: str) -> None:
        """Forget the longest unused projects; whoever uses their engines still has them."""
        with self._lock:
            holding = [project for project, seat in self._seats.items() if seat.engine is not None and project != beside]
            spare = len(self._seats) - _MOST_SEATS
            idle = [
                project for project, seat in self._seats.items() if seat.engine is None and seat.is_ready.is_set() and project != beside
            ]
            for project in (*holding[: max(0, len(holding) - self._most + 1)], *idle[: max(0, spare)]):
                del self._seats[project]


def line_of(data_dir: Path, project: str) -> VersionLine | None:
    """The line of versions of a project.

    Args:
        data_dir: where lines are.
        project: as Label Studio names it in requests, ``ID.EPOCH`` or ``ID``. The epoch tells when the project was made, in seconds.

    Returns:
        ``None`` when it names no project.
    """
    number, _, epoch = project.partition(".")
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        return None
    since = float(epoch) if epoch.isascii() and epoch.isdecimal() and len(epoch) <= 18 else 0.0
    return VersionLine(data_dir, int(number), since)
