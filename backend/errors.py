"""What can go wrong, by name, with the HTTP status of each; and the one body that every failure is told in.

Functions raise these and routes never catch them: :mod:`backend.app` maps them to answers, :mod:`backend.cli` to one line on the
terminal. A message says what was found, what was expected, and what to do.
"""

# ruff: noqa: N818 (a condition is named for what happened: "image unavailable")

from __future__ import annotations

from typing import Any

LONGEST_MESSAGE = 1000
"""Characters; a message may repeat names that a client chose, and those may be megabytes."""


class BackendError(Exception):
    """A failure that somebody can act on. Subclasses set ``status`` (HTTP) and ``code`` (for programs).

    Args:
        message: becomes one line of printable characters, whatever it repeats: it goes to logs and terminals.
    """

    status = 500
    code = "internal"

    def __init__(self, message: str) -> None:
        shown = message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."
        self.message = shown if shown.isprintable() else "".join(character if character.isprintable() else " " for character in shown)
        super().__init__(self.message)


class SettingsError(BackendError):
    """A setting has a value that cannot be used."""

    code = "settings"


class BadRequest(BackendError):
    """The request is not of the form that its route reads."""

    status = 400
    code = "bad_request"


class Unauthorized(BackendError):
    """Credentials are missing or wrong."""

    status = 401
    code = "unauthorized"


class LabelConfigError(BackendError):
    """The labeling config cannot be read, or nothing in it can hold a mask."""

    status = 422
    code = "label_config"


class ImageUnavailable(BackendError):
    """The image of a task cannot be fetched or decoded, or must not be."""

    status = 424
    code = "image_unavailable"


class LabelStudioError(BackendError):
    """Label Studio refused a request of ours, or did not answer."""

    status = 502
    code = "label_studio"


class StorageError(BackendError):
    """State of the service cannot be read or written: the disk is full, or the data folder is not ours."""

    status = 507
    code = "storage"


class EngineBusy(BackendError):
    """All slots of the engine stayed taken for as long as a request may wait."""

    status = 503
    code = "engine_busy"


class NotReady(BackendError):
    """The engine is still loading, or could not be loaded."""

    status = 503
    code = "not_ready"


def error_body(code: str, message: str, request_id: str) -> dict[str, Any]:
    """Build the JSON body of every failure; ``request_id`` is also in the log line with the details."""
    return {"error": {"code": code, "message": message, "request_id": request_id}}
