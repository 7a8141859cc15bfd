"""What went wrong lately. Label Studio hides it from people, so ``/status`` and ``wordmask doctor`` show it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

_KEPT = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """One task that got no prediction, or only part of one."""

    at: str
    project: str
    task_id: int | None
    reason: str


class RecentFailures:
    """The last failures of this process, oldest first."""

    def __init__(self) -> None:
        self._failures: deque[Failure] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def add(self, project: str, task_id: int | None, reason: str) -> None:
        """Remember one failure; the oldest one is forgotten when there are too many."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            self._failures.append(Failure(now, project, task_id, reason))

    def task_ids(self, project: str) -> frozenset[int]:
        """Tasks of ``project`` that failed lately."""
        with self._lock:
            return frozenset(f.task_id for f in self._failures if f.project == project and f.task_id is not None)

    def as_json(self) -> list[dict[str, Any]]:
        """The failures, newest first."""
        with self._lock:
            return [asdict(failure) for failure in reversed(self._failures)]
