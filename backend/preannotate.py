"""Predictions for every task of a project, stored through Label Studio's API: any number of tasks, stopped and continued at will.

Label Studio's own "Retrieve Predictions" sends all tasks in one request and gives up after 100 s; here it lists tasks and stores results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from backend.images import ImageLoader
from backend.label_config import LabelPlan
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS, LabelStudioRefused
from backend.predict import Outcome, TaskPrediction, predict_tasks
from backend.prediction_store import PredictionStore
from backend.settings import Settings
from backend.tasks import Task, task_prompts
from models import Engine

TaskOutcome = Literal["done", "empty", "skipped", "failed"]
"""``empty``: the model found nothing, which is stored too, so that the task counts as done. ``skipped``: had a prediction already."""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What became of one task, and why it failed or what was left out."""

    task_id: int
    outcome: TaskOutcome
    reason: str | None = None


@dataclass(slots=True)
class Summary:
    """Everything that a run did."""

    counts: dict[TaskOutcome, int] = field(default_factory=lambda: {"done": 0, "empty": 0, "skipped": 0, "failed": 0})
    tasks_by_reason: dict[str, list[int]] = field(default_factory=dict)

    def add(self, report: TaskReport) -> None:
        """Count one task."""
        self.counts[report.outcome] += 1
        if report.reason:
            self.tasks_by_reason.setdefault(report.reason, []).append(report.task_id)


@dataclass(frozen=True, slots=True)
class Preannotation:
    """One run over the tasks of a project.

    Args:
        client: Label Studio.
        plan: of the project's labeling config.
        engine: must be safe to call from ``workers`` threads.
        images: fetches the tasks' images.
        settings: limits and thresholds.
        redo: predict tasks again that hold a prediction of this model version; the old one is replaced.
        prompt: one more expression to look for in every task.
        limit: most tasks to predict; skipped ones do not count.
        batch_size: tasks per call.
        workers: calls at the same time, so that one fetches images while another computes.
        pauses: seconds between attempts while Label Studio does not answer or fails.
    """

    client: LabelStudioClient
    plan: LabelPlan
    engine: Engine
    images: ImageLoader
    settings: Settings
    redo: bool = False
    prompt: str | None = None
    limit: int | None = None
    batch_size: int = 4
    workers: int = 2
    pauses: Sequence[float] = RETRY_SECONDS

    def run(self, project_id: int, on_report: Callable[[TaskReport], None]) -> None:
        """Predict and store, task after task.

        A failed task is reported and the others go on. A killed run loses only what was in work: the next one skips what is stored.

        Args:
            project_id: whose tasks.
            on_report: told of every task, from the calling thread.

        Raises:
            LabelStudioError: Label Studio stays unreachable or refuses the token; what was reported is stored.
        """
        self.run_tasks(self.client.tasks(project_id, pauses=self.pauses), on_report)

    def run_tasks(self, tasks: Iterable[Task], on_report: Callable[[TaskReport], None]) -> None:
        """The same for some tasks, in about their order. Each has ``id``, ``data`` and ``predictions_model_versions``."""
        store = PredictionStore(self.client, replace=self.redo, pauses=self.pauses)
        batches = self._batches(tasks, on_report)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="preannotate") as pool:
            running: set[Future[list[TaskReport]]] = set()
            try:
                while True:
                    running |= {pool.submit(self._work, batch, store) for batch in islice(batches, self.workers + 1 - len(running))}
                    if not running:
                        return
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for report in (report for future in finished for report in future.result()):
                        on_report(report)
            finally:
                for future in running:
                    future.cancel()

    def _batches(self, tasks: Iterable[Task], on_report: Callable[[TaskReport], None]) -> Iterator[list[Task]]:
        """Tasks to predict, in batches; the others are reported as they are passed over."""
        wanted = islice(self._wanted(tasks, on_report), self.limit)
        while batch := [self._with_prompt(task) for task in islice(wanted, self.batch_size)]:
            yield batch

    def _wanted(self, tasks: Iterable[Task], on_report: Callable[[TaskReport], None]) -> Iterator[Task]:
        for task in tasks:
            if not self.redo and self.engine.version in str(task.get("predictions_model_versions") or "").split(","):
                on_report(TaskReport(task["id"], "skipped"))
            else:
                yield task

    def _with_prompt(self, task: Task) -> Task:
        if not self.prompt:
            return task
        field_name = self.plan.prompt_field or self.settings.prompt_field
        data: dict[str, Any] = {**task["data"], field_name: [*task_prompts(task, field_name), self.prompt]}
        return {**task, "data": data}

    def _work(self, batch: Sequence[Task], store: PredictionStore) -> list[TaskReport]:
        predictions = predict_tasks(batch, self.plan, self.engine, self.images, self.settings, model_version=self.engine.version)
        return [_store_one(prediction, store) for prediction in predictions]


def _store_one(prediction: TaskPrediction, store: PredictionStore) -> TaskReport:
    task_id = prediction.task_id
    assert task_id is not None, "Label Studio lists no task without an id"
    if prediction.outcome is not Outcome.DONE:
        return TaskReport(task_id, "failed", prediction.reason)
    try:
        store.store(prediction)
    except LabelStudioRefused as error:
        if error.http_status in (401, 403) or error.http_status >= 500:
            raise  # it would be the same for every other task
        return TaskReport(task_id, "failed", str(error))
    return TaskReport(task_id, "done" if prediction.regions else "empty", prediction.reason)
