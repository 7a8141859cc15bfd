"""The way back, as far as a request goes: an event is kept, training is asked for. Everything slow is done by the trainer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from backend.errors import BackendError, SettingsError
from backend.event_store import EventStore
from backend.events import START_TRAINING, Event
from backend.jobs.debounce import Debounce
from backend.jobs.job import JobQueue
from backend.jobs.sqlite_queue import SqliteQueue
from backend.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Learning:
    """What requests need of it. Safe to use from several threads.

    Args:
        events: where events wait for the trainer.
        queue: of the jobs.
        debounce: turns events into requests for jobs.
    """

    events: EventStore
    queue: JobQueue
    debounce: Debounce

    def take(self, event: Event) -> dict[str, Any]:
        """Keep an event, and answer it once it cannot be lost any more.

        Raises:
            StorageError: it cannot be kept, so the answer must not be a success.
        """
        number = self.events.record(event)
        if number is None:
            return {"status": "recorded", "message": "this event was here already"}
        if event.action != START_TRAINING or event.project is None:
            return {"status": "recorded"}
        try:
            job = self.debounce.ask_at_once(event.project, number)
        except BackendError as error:  # the event is kept: the trainer asks again
            logger.warning("project %d: training is asked for later: %s", event.project, error)
            return {"job": None, "status": "recorded", "message": str(error)}
        return {"job": job.id, "status": str(job.state)}


def build_learning(settings: Settings) -> Learning:
    """The way back as the settings describe it; nothing is opened yet.

    Raises:
        SettingsError: Redis is named, and its packages are not installed.
    """
    events, queue = EventStore(settings.data_dir / "events.sqlite3"), build_queue(settings)
    return Learning(events, queue, Debounce(events, queue, settings.train_after_corrections, settings.train_after_minutes * 60))


def build_queue(settings: Settings) -> JobQueue:
    """The queue that the settings name; raises as :func:`build_learning`."""
    if settings.redis_url is None:
        return SqliteQueue(settings.data_dir / "jobs.sqlite3")
    try:
        from backend.jobs.redis_queue import RedisQueue  # an extra: most people need none of it
    except ImportError as error:
        raise SettingsError(f"WORDMASK_REDIS_URL is set, but {error.name} is not installed; pip install 'wordmask[redis]'") from error
    return RedisQueue(settings.redis_url.get_secret_value())
