"""When to ask for training: at once when somebody presses the button, else after enough corrections or enough time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from backend.event_store import EventStore, Unasked
from backend.events import START_TRAINING
from backend.jobs.job import Job, JobQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Debounce:
    """Turns events into requests for jobs. Many corrections ask for one job, as do several presses of the button.

    Args:
        events: where corrections are counted.
        queue: where jobs are asked for.
        corrections: so many not yet learned from ask for a job; 0 for never.
        seconds: so long after the first of them a job is asked for, however few there are; 0 for never.
        clock: gives seconds since 1970.
    """

    events: EventStore
    queue: JobQueue
    corrections: int
    seconds: float
    clock: Callable[[], float] = time.time

    def __call__(self) -> None:
        """Ask for every job that is due now."""
        for stored in self.events.waiting():
            if stored.event.action == START_TRAINING and stored.event.project is not None:
                self.ask_at_once(stored.event.project, stored.id)
        for unasked in self.events.unasked():
            reason = self._reason(unasked)
            if reason:
                job = self.queue.request(unasked.project, reason)
                self.events.mark_asked(unasked.project, unasked.last_event)
                logger.info("project %d: %s: job %s", unasked.project, reason, job.id)

    def ask_at_once(self, project: int, number: int) -> Job:
        """Ask for the job that a ``START_TRAINING`` event wants, and settle the event.

        Args:
            project: for which.
            number: of the event.
        """
        job = self.queue.request(project, "asked for in Label Studio")
        self.events.mark_asked(project, number)
        self.events.settle([number], f"job {job.id}")
        return job

    def _reason(self, unasked: Unasked) -> str:
        count = f"{unasked.corrections} new correction{'s' if unasked.corrections > 1 else ''}"
        if self.corrections and unasked.corrections >= self.corrections:
            return count
        waited = self.clock() - unasked.since
        return f"{count} in {waited / 60:.0f} minutes" if self.seconds and waited >= self.seconds else ""
