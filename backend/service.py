"""What the service knows while it runs, and its two jobs: predictions for a batch of tasks, and an answer to a gesture."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from backend.engine_holder import EngineHolder
from backend.errors import BackendError, EngineBusy, LabelConfigError, NotReady
from backend.failures import RecentFailures
from backend.images import ImageLoader
from backend.interactive import InteractiveAnswer, answer_gesture
from backend.label_config import LabelPlan
from backend.learning import Learning
from backend.predict import Outcome, predict_tasks
from backend.prompt_memory import PromptMemory
from backend.settings import Settings
from backend.tasks import Task, task_id
from backend.versions.engines import ProjectEngines
from backend.versions.line import lines
from models import Engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """Everything that requests share. Each part is safe to use from several threads."""

    settings: Settings
    engine: EngineHolder
    images: ImageLoader
    prompts: PromptMemory
    learning: Learning
    projects: ProjectEngines
    failures: RecentFailures = field(default_factory=RecentFailures)

    def version_for(self, project: str) -> str:
        """Name of the version that answers for a project, ``ID.EPOCH`` or ``ID``; that of the shared weights for whatever names none."""
        return self.projects.version(project, self.engine.version)

    def versions(self) -> list[str]:
        """Names of all versions that can serve: that of the weights, then those of the projects."""
        return [self.engine.version, *(found.name for line in lines(self.settings.shared_folder) for found in line.versions())]

    def predict_batch(self, tasks: Sequence[Task], plan: LabelPlan, project: str) -> list[Any]:
        """One entry of ``results`` per task, within the time budget; ``[]`` where there is no prediction.

        An engine that is not ready, or too busy, gives ``[]`` for all: Label Studio asks again on the next retrieve.
        """
        started = time.monotonic()
        deadline = started + self.settings.predict_budget_seconds
        try:
            with self._lend(project, deadline) as engine:
                predictions = predict_tasks(
                    tasks,
                    plan,
                    engine,
                    self.images,
                    self.settings,
                    model_version=engine.version,
                    deadline=deadline,
                    remembered=self._recall(project),
                    failed_before=self.failures.task_ids(project),
                )
        except (EngineBusy, NotReady) as error:
            self._note(project, None, f"{len(tasks)} tasks got no prediction: {error}")
            return [[] for _ in tasks]
        for prediction in predictions:
            if prediction.reason is not None and prediction.outcome is not Outcome.POSTPONED:
                self._note(project, prediction.task_id, prediction.reason)
        counts = {outcome.value: sum(p.outcome is outcome for p in predictions) for outcome in Outcome}
        logger.info("project %r: %s in %.1f s", project, counts, time.monotonic() - started)
        return [prediction.to_json() for prediction in predictions]

    def answer(self, task: Task, gestures: Sequence[Any], plan: LabelPlan, project: str) -> dict[str, Any]:
        """The one entry of ``results`` for a gesture; empty when nothing was found or something went wrong.

        Label Studio shows annotators no error, so whatever happens is logged and remembered for ``/status``.
        """
        version = self.version_for(project)
        try:
            with self._lend(project, time.monotonic() + self.settings.predict_budget_seconds) as engine:
                version = engine.version
                found = answer_gesture(task, gestures, plan, engine, self.images, self.settings)
        except LabelConfigError:
            raise
        except BackendError as error:
            found = InteractiveAnswer((), 0.0, (), (str(error),))
        except Exception as error:  # an annotator's click must leave Label Studio usable
            logger.exception("a gesture on task %s failed", task_id(task))
            found = InteractiveAnswer((), 0.0, (), (f"unexpected {type(error).__name__}; the log has the details",))
        for problem in found.problems:
            self._note(project, task_id(task), problem)
        for label, prompt in found.prompts:
            self._remember(project, label, prompt)
        return {"result": list(found.regions), "score": found.score, "model_version": version}

    @contextmanager
    def _lend(self, project: str, deadline: float) -> Iterator[Engine]:
        """The project's engine; one request is answered by one version, also when another takes over meanwhile."""
        with self.engine.lend(deadline, lambda base: self.projects.engine(project, base, deadline)) as engine:
            yield engine

    def _note(self, project: str, task: int | None, reason: str) -> None:
        logger.warning("project %r, task %s: %s", project, task, reason)
        self.failures.add(project, task, reason)

    def _recall(self, project: str) -> dict[str, str]:
        try:
            return self.prompts.recall(project)
        except (OSError, sqlite3.Error, UnicodeError) as error:
            self._note(project, None, f"the remembered prompts cannot be read: {error}; check WORDMASK_DATA_DIR")
            return {}

    def _remember(self, project: str, label: str, prompt: str) -> None:
        try:
            self.prompts.remember(project, label, prompt)
        except (OSError, sqlite3.Error, UnicodeError) as error:
            self._note(project, None, f"the prompt cannot be remembered: {error}; check WORDMASK_DATA_DIR")
