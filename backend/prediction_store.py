"""Storing predictions in Label Studio so that each task holds exactly one per model version, also when answers get lost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS, LabelStudioRefused, with_retries
from backend.predict import TaskPrediction


class PredictionStore:
    """Writes predictions of one model version.

    Args:
        client: of the Label Studio that holds the tasks.
        replace: tasks may hold predictions of this version already; they are removed once the new one is stored.
        pauses: seconds between attempts while Label Studio does not answer or fails.
    """

    def __init__(self, client: LabelStudioClient, *, replace: bool, pauses: Sequence[float] = RETRY_SECONDS) -> None:
        self._client = client
        self._replace = replace
        self._pauses = pauses

    def store(self, prediction: TaskPrediction) -> None:
        """Store one prediction.

        Raises:
            ValueError: the prediction is of a task without id.
            LabelStudioError: it could not be stored.
        """
        if prediction.task_id is None:
            raise ValueError("a prediction can only be stored for a task with an id")
        task_id, version = prediction.task_id, prediction.model_version
        before = with_retries(partial(self._ids_of, task_id, version), self._pauses) if self._replace else []
        tried = False

        def post_once() -> None:
            nonlocal tried
            if tried and len(self._ids_of(task_id, version)) > len(before):
                return  # the attempt before had arrived, only its answer was lost
            tried = True
            self._client.create_prediction(task_id, list(prediction.regions), score=prediction.score, model_version=version)

        with_retries(post_once, self._pauses)
        for prediction_id in before:
            with_retries(partial(self._remove, prediction_id), self._pauses)

    def _ids_of(self, task_id: int, version: str) -> list[int]:
        return [found["id"] for found in self._client.predictions(task_id) if found["model_version"] == version]

    def _remove(self, prediction_id: int) -> None:
        try:
            self._client.delete_prediction(prediction_id)
        except LabelStudioRefused as error:
            if error.http_status != 404:
                raise
