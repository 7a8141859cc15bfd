"""How calls to Label Studio fail, and which failures are worth another try."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from backend.errors import LabelStudioError

T = TypeVar("T")

RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Pauses before each new attempt; together they outlast a restart of Label Studio."""


class LabelStudioRefused(LabelStudioError):  # noqa: N818 - says what happened
    """Label Studio answered, but not with a success; ``http_status`` is what it answered."""

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


class LabelStudioUnreachable(LabelStudioError):  # noqa: N818 - as above
    """Label Studio did not answer; whether it did what was asked is unknown."""


def with_retries(action: Callable[[], T], pauses: Sequence[float] = RETRY_SECONDS) -> T:
    """Do ``action`` again after each of ``pauses`` while it fails temporarily; the last failure is raised."""
    for pause in pauses:
        try:
            return action()
        except LabelStudioError as error:
            if not _is_temporary(error):
                raise
        time.sleep(pause)
    return action()


def _is_temporary(error: LabelStudioError) -> bool:
    if isinstance(error, LabelStudioRefused):
        return error.http_status >= 500 or error.http_status == 429
    return isinstance(error, LabelStudioUnreachable)
