"""Which tasks of a project to annotate next: doubtful ones that are unlike each other and unlike what is annotated already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from backend.dataset.source import ProjectSource
from backend.errors import BackendError
from backend.images import ImageLoader
from backend.label_config import LabelPlan
from backend.looked_at import Look, LookedAt, content_of
from backend.predict import predict_regions
from backend.settings import Settings
from backend.tasks import Task, image_refs, task_data, task_id
from models import Engine, choose_batch, image_vector, task_doubt

_AT_ONCE = 16
"""Tasks that are looked at before what was seen is written down: so much a killed run loses."""


@dataclass(frozen=True, slots=True)
class ChosenTask:
    """A task that is worth an annotation, and how doubtful its prediction is, 0..1."""

    task: int
    doubt: float


@dataclass(frozen=True, slots=True)
class BatchChoice:
    """What was chosen.

    Args:
        chosen: the most valuable first.
        waiting: tasks without an annotation, the chosen ones among them.
        annotated: tasks that have one.
        failed: tasks that could not be looked at, and why.
    """

    chosen: tuple[ChosenTask, ...]
    waiting: int
    annotated: int
    failed: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NextBatch:
    """Looks at every task of a project once per version of the model, and chooses.

    Args:
        source: the project's tasks.
        label_config: of the project.
        plan: what it asks for.
        engine: must be safe to call from ``workers`` threads.
        images: fetches the tasks' images.
        settings: limits and thresholds.
        looked_at: keeps what was seen; a stopped run goes on from there.
        workers: tasks at the same time, so that one is fetched while another is computed.
    """

    source: ProjectSource
    label_config: str
    plan: LabelPlan
    engine: Engine
    images: ImageLoader
    settings: Settings
    looked_at: LookedAt
    workers: int = 2

    def choose(self, budget: int, on_progress: Callable[[int, int], None] = lambda done, total: None) -> BatchChoice:
        """Choose up to ``budget`` tasks that have no annotation. The same project gives the same choice.

        Args:
            budget: how many.
            on_progress: told how many tasks of how many were looked at.

        Raises:
            LabelStudioError: Label Studio stays unreachable or refuses; what was seen is kept.
        """
        changes = list(self.source.changes())
        annotated = {change.task for change in changes if change.is_annotated}
        looks, failed = self._look_at_all([change.task for change in changes], on_progress)
        waiting = [look for number, look in sorted(looks.items()) if number not in annotated]
        known = [look.vector for number, look in sorted(looks.items()) if number in annotated]
        chosen: list[int] = []
        if waiting:
            vectors, doubts = np.stack([look.vector for look in waiting]), np.array([look.doubt for look in waiting])
            chosen = choose_batch(vectors, doubts, budget, known=np.stack(known) if known else None)
        picked = tuple(ChosenTask(waiting[place].task, waiting[place].doubt) for place in chosen)
        return BatchChoice(picked, len(changes) - len(annotated), len(annotated), failed)

    def _look_at_all(self, ids: Sequence[int], on_progress: Callable[[int, int], None]) -> tuple[dict[int, Look], dict[int, str]]:
        tasks = {number: task for task in self.source.bare_tasks(ids) if (number := task_id(task)) is not None}
        contents = {number: content_of(task_data(task), self.label_config) for number, task in tasks.items()}
        looks, failed = self.looked_at.find(self.engine.version, contents), dict[int, str]()
        on_progress(len(looks), len(tasks))
        new = [number for number in tasks if number not in looks]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="look") as pool:
            for start in range(0, len(new), _AT_ONCE):
                numbers = new[start : start + _AT_ONCE]
                seen = list(pool.map(lambda number: self._look_at(tasks[number], number, contents[number]), numbers))
                self.looked_at.keep(self.engine.version, [one for one in seen if isinstance(one, Look)])
                for number, one in zip(numbers, seen, strict=True):
                    if isinstance(one, Look):
                        looks[number] = one
                    else:
                        failed[number] = one
                on_progress(len(looks) + len(failed), len(tasks))
        return looks, failed

    def _look_at(self, task: Task, number: int, content: str) -> Look | str:
        """The task as the engine sees it, or why it cannot be seen."""
        try:
            found, _ = predict_regions(task, self.plan, self.engine, self.images, self.settings, {})
            refs = [ref for image in self.plan.images for ref in image_refs(task, image)]
            vectors = [image_vector(self.engine, self.images.load(ref.uri, task_id=number).rgb) for ref in refs]
        except BackendError as error:
            return error.message
        if not vectors:
            return "the task shows no image"
        mean = np.mean(vectors, axis=0)
        return Look(number, content, task_doubt(found.doubts), (mean / np.linalg.norm(mean)).astype(np.float32))
