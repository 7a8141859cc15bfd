"""Batch pre-annotation: tasks in, predictions out, with no human in the loop.

The serving arrow is plan -> image -> engine -> regions, and knows nothing of HTTP. A task that fails never touches the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from backend.claims import Found, Region
from backend.errors import BackendError, EngineBusy
from backend.expressions import MAX_PROMPT_CHARS, asks_of_labels, asks_of_prompts, find_regions
from backend.images import ImageLoader
from backend.label_config import LabelPlan, with_task_labels
from backend.label_lists import listed_controls
from backend.settings import Settings
from backend.tasks import Task, image_refs, task_data, task_id, task_prompts
from models import Engine, task_doubt

_MAX_PROMPTS = 100

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a task."""

    DONE = "done"
    FAILED = "failed"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class TaskPrediction:
    """What one task gets.

    Args:
        task_id: the task, where it has an id.
        outcome: only ``DONE`` has a prediction; the regions of the others are empty.
        regions: Label Studio regions.
        score: 1 minus the task's doubt, higher = surer: Label Studio's uncertainty sampling gives out the lowest first. 0 when nothing was
            found: new images are where a model misses what is there.
        model_version: version of the engine that answered.
        reason: why a task failed or was postponed; for a task that is done, what could not be asked for.
    """

    task_id: int | None
    outcome: Outcome
    regions: tuple[Region, ...]
    score: float
    model_version: str
    reason: str | None = None

    def to_json(self) -> dict[str, Any] | list[Any]:
        """The task's entry in ``results``. ``[]`` stores nothing, and Label Studio asks for just this task the next time."""
        if self.outcome is not Outcome.DONE:
            return []
        return {"result": list(self.regions), "score": self.score, "model_version": self.model_version}


def predict_tasks(
    tasks: Sequence[Task],
    plan: LabelPlan,
    engine: Engine,
    images: ImageLoader,
    settings: Settings,
    *,
    model_version: str,
    deadline: float | None = None,
    remembered: Mapping[str, str] | None = None,
    failed_before: Collection[int] = (),
) -> list[TaskPrediction]:
    """Predict every task that fits into the time.

    Args:
        tasks: tasks as Label Studio sends them.
        plan: what the labeling config asks for.
        deadline: ``time.monotonic()`` by which to be done. No task is begun that would end later if it took as long as the longest so
            far; the first one is always begun.
        remembered: last typed prompt per label, used in place of the label's own words.
        failed_before: ids of tasks that failed lately. They are tried last, so that a few slow failures cannot use up the time of every
            request.

    Returns:
        One entry per task, in the order of ``tasks``.
    """
    predictions: dict[int, TaskPrediction] = {}
    longest = 0.0
    for index in sorted(range(len(tasks)), key=lambda index: task_id(tasks[index]) in failed_before):
        started = time.monotonic()
        if deadline is not None and predictions and started + longest > deadline:
            break
        try:
            found, reason = predict_regions(tasks[index], plan, engine, images, settings, remembered or {})
        except EngineBusy:
            break
        except BackendError as error:
            predictions[index] = _without(tasks[index], Outcome.FAILED, str(error), model_version)
        except Exception as error:  # whatever is wrong with one task, the others get theirs
            logger.exception("task %s failed", task_id(tasks[index]))
            predictions[index] = _without(tasks[index], Outcome.FAILED, f"unexpected {type(error).__name__}", model_version)
        else:
            score = 1.0 - task_doubt(found.doubts)
            predictions[index] = TaskPrediction(task_id(tasks[index]), Outcome.DONE, tuple(found.regions), score, model_version, reason)
        longest = max(longest, time.monotonic() - started)
    late = "the time for this request was used up; ask again"
    return [predictions.get(i) or _without(task, Outcome.POSTPONED, late, model_version) for i, task in enumerate(tasks)]


def predict_regions(
    task: Task,
    plan: LabelPlan,
    engine: Engine,
    images: ImageLoader,
    settings: Settings,
    remembered: Mapping[str, str],
) -> tuple[Found, str | None]:
    """Find the regions of one task, on all its images.

    Returns:
        The regions with their doubts, and what could not be asked for (``None`` when everything could).

    Raises:
        ImageUnavailable: one of the images cannot be had.
        LabelConfigError: the task lacks the labels that the config expects in it, or the engine cannot look for them as the config says.
    """
    plan = with_task_labels(plan, task_data(task))
    prompts, problem = _usable_prompts(task_prompts(task, plan.prompt_field or settings.prompt_field))
    regions: list[Region] = []
    doubts: list[float] = []
    for image in plan.images:
        listed = listed_controls(plan, image.name, engine, has_prompts=bool(prompts))
        asks = asks_of_prompts(plan, image.name, prompts) + asks_of_labels(plan, image.name, remembered, settings, listed)
        if not asks:
            continue
        for ref in image_refs(task, image):
            found = find_regions(asks, images.load(ref.uri, task_id=task_id(task)), engine, settings, ref.item_index)
            regions += found.regions
            doubts += found.doubts
    return Found(regions, doubts), problem


def _usable_prompts(prompts: list[str]) -> tuple[list[str], str | None]:
    usable = [prompt for prompt in prompts if len(prompt) <= MAX_PROMPT_CHARS][:_MAX_PROMPTS]
    if len(usable) == len(prompts):
        return usable, None
    left_out = len(prompts) - len(usable)
    return (
        usable,
        f"{left_out} of the task's prompts were left out; asked are {_MAX_PROMPTS}, up to {MAX_PROMPT_CHARS} characters each",
    )


def _without(task: Task, outcome: Outcome, reason: str, model_version: str) -> TaskPrediction:
    return TaskPrediction(task_id(task), outcome, (), 0.0, model_version, reason)
