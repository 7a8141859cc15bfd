"""What can go wrong on the way from a published file to weights that serve, by name."""

# ruff: noqa: N818 (a condition is named for what happened)

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.errors import BackendError

if TYPE_CHECKING:
    from backend.checkpoints.hub import HubFile


class CheckpointError(BackendError):
    """A published file is not there, or cannot be used."""

    code = "checkpoint"


class Offline(CheckpointError):
    """A file would have to be fetched, and fetching is switched off."""

    code = "checkpoint_offline"


class SourceUnavailable(CheckpointError):
    """Nobody answers at the file's address, or not with the file."""

    code = "checkpoint_source"


class Interrupted(CheckpointError):
    """The connection ended before the file did; what came is kept and continued."""

    code = "checkpoint_interrupted"


class NotWeights(CheckpointError):
    """What came is something else: a web page, a pointer, a network of other sizes."""

    code = "checkpoint_content"


class WrongFile(CheckpointError):
    """What came has another size or digest than the file that was asked for."""

    code = "checkpoint_digest"


class NoSpace(CheckpointError):
    """The disk is too full for the file."""

    code = "checkpoint_space"


class ChoiceNeeded(CheckpointError):
    """A repository holds several files that could be meant.

    Args:
        message: what to do.
        files: all of them.
    """

    code = "checkpoint_choice"

    def __init__(self, message: str, files: Sequence[HubFile]) -> None:
        super().__init__(message)
        self.files = tuple(files)
