"""Callers of several threads share one run of a function that works on batches.

There is no thread behind it and nothing to shut down: whoever is first in the queue runs the batch for all. While a batch runs the next one
gathers by itself, so under load batches are full without any waiting; a caller who is alone waits for nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatcher(Generic[Item, Result]):
    """Runs batches of what several threads ask for at the same time. One batch runs at a time.

    Args:
        run: makes one result per item, in order; called in the thread of one of the callers.
        largest: most items in one batch.
        wait_seconds: how long a batch that could start waits for callers who are still preparing their item.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]], *, largest: int, wait_seconds: float) -> None:
        if largest < 1:
            raise ValueError(f"a batch holds at least 1 item, found largest={largest}")
        self._run = run
        self._largest = largest
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._queue: deque[_Job[Item, Result]] = deque()
        self._preparing = 0
        self._is_running = False

    def __call__(self, prepare: Callable[[], Item]) -> Result:
        """The result for one item.

        Args:
            prepare: makes the item, in the caller's own thread. A batch may wait for it; its failures are the caller's alone.

        Raises:
            Exception: what ``prepare`` raised, or ``run`` for this item; an item that ``run`` fails on never costs others their result.
        """
        job = self._enqueue(prepare)
        try:
            if self._is_first(job):
                self._answer(self._gather())
        finally:
            self._leave(job)
        return job.outcome()

    def _enqueue(self, prepare: Callable[[], Item]) -> _Job[Item, Result]:
        with self._changed:
            self._preparing += 1
        job = None
        try:
            job = _Job[Item, Result](prepare())
        finally:
            # In one step: between the two a batch would start without this item.
            with self._changed:
                self._preparing -= 1
                if job is not None:
                    self._queue.append(job)
                self._changed.notify_all()
        return job

    def _is_first(self, job: _Job[Item, Result]) -> bool:
        """Wait for the job's result, or for its turn to run a batch; true in the second case."""
        with self._changed:
            self._changed.wait_for(lambda: job.is_done or (not self._is_running and self._queue[0] is job))
            if not job.is_done:
                self._is_running = job.leads = True
            return job.leads

    def _gather(self) -> list[_Job[Item, Result]]:
        with self._changed:
            self._changed.wait_for(lambda: self._preparing == 0 or len(self._queue) >= self._largest, self._wait_seconds)
            return [self._queue.popleft() for _ in range(min(self._largest, len(self._queue)))]

    def _answer(self, jobs: Sequence[_Job[Item, Result]]) -> None:
        """Run a batch; if that fails, each item alone, so that every caller gets the own result or the own failure."""
        try:
            results = self._run([job.item for job in jobs])
            for job, result in zip(jobs, results, strict=True):
                job.results.append(result)
        except Exception as error:  # noqa: BLE001 (whatever it is, it belongs to one of the callers)
            if len(jobs) == 1:
                jobs[0].failure = error
                return
            for job in jobs:
                job.results.clear()
                self._answer([job])
        finally:
            for job in jobs:
                job.is_done = True

    def _leave(self, job: _Job[Item, Result]) -> None:
        """Make way for the next batch, also when this thread was interrupted while it waited or ran."""
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)
            if job.leads:
                self._is_running = False
            self._changed.notify_all()


class _Job(Generic[Item, Result]):
    """One caller's item and what became of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.results: list[Result] = []
        self.failure: Exception | None = None
        self.is_done = False
        self.leads = False

    def outcome(self) -> Result:
        if self.failure is not None:
            raise self.failure
        if not self.results:
            raise RuntimeError("the thread that computed this batch was interrupted; ask again")
        return self.results[0]
