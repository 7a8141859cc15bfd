"""Wordmask as a model class of the ``label_studio_ml`` library, 2.x."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from backend.bodies import parse_predict_request
from backend.errors import BackendError
from backend.events import parse_event
from backend.label_config import parse_label_config
from backend.label_studio_ml.shared import shared_service
from backend.tasks import Task

logger = logging.getLogger(__name__)


class WordmaskModel(LabelStudioMLBase):  # type: ignore[misc]
    """One request's view of the process's service: nothing is kept here between requests.

    Args:
        project_id: id of the Label Studio project.
        label_config: the project's labeling config, as the request brought it.
    """

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        # Kept here, because the library keeps one config per project, which a request beside this one may replace.
        self._request_config = label_config
        super().__init__(project_id, label_config)

    def setup(self) -> None:
        """Tell the version that serves. The library asks for it on every request, so nothing is waited for."""
        version = shared_service().version_for(str(self.project_id or ""))
        if self.get("model_version") != version:
            self.set("model_version", version)

    def set_extra_params(self, extra_params: Any) -> None:
        """Keep a backend's extra parameters. The library stores texts only, and refuses the backend when they are an object."""
        super().set_extra_params(extra_params if isinstance(extra_params, str) else json.dumps(extra_params))

    def predict(self, tasks: list[Task], context: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Predictions for a batch of tasks, or for one gesture.

        Args:
            tasks: as Label Studio sends them.
            context: the gesture in its ``result``; ``None`` for a batch.
            kwargs: credentials of the task's data, which are not used: images are fetched with our own.

        Returns:
            One entry per task; ``[]`` for those without a prediction. A request that cannot be answered gives no prediction at
            all and a line in the log: the library would send a traceback, and Label Studio would show none of it.
        """
        service = shared_service()
        try:
            request = parse_predict_request(
                {
                    "tasks": tasks,
                    "label_config": self._request_config or self.get("label_config"),
                    "project": self.project_id,
                    "params": {"context": context},
                }
            )
            plan = parse_label_config(request.label_config)
        except BackendError as error:
            logger.warning("project %s gets no prediction: %s", self.project_id, error)
            return _nothing(tasks, context)
        if request.gestures is None:
            return service.predict_batch(request.tasks, plan, request.project)
        return [service.answer(request.tasks[0], request.gestures, plan, request.project)]

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Keep what happened and return at once: the library answers the webhook only then."""
        return shared_service().learning.take(parse_event({**data, "action": event}))


def _nothing(tasks: Any, context: Any) -> list[Any]:
    """An answer without predictions, of the length that Label Studio expects; a gesture wants an object."""
    if isinstance(context, dict) and context.get("result"):
        return [{"result": [], "score": 0.0}]
    count = len(tasks) if isinstance(tasks, Sequence) else 0
    return [[] for _ in range(count)]
