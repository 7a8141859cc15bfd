"""What can be wrong with a version, and its manifest read with that in mind. Loads no torch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from backend.errors import BackendError
from models import VersionManifest, WeightsError, read_version

_WEIGHTS = "delta.safetensors"


class VersionError(BackendError):
    """What is on disk is no version, or is in no state for what was asked."""

    status = 409
    code = "version"


class NoSuchVersion(VersionError):  # noqa: N818 - says what was found
    """A project has no version of that name."""

    status = 404
    code = "no_such_version"


def read_manifest(folder: Path) -> VersionManifest:
    """What a version's folder says of it.

    Raises:
        VersionError: a file is missing, or the manifest is not what it should be.
    """
    try:
        manifest = read_version(folder)
        created_at(manifest)
    except (WeightsError, ValueError) as error:
        raise VersionError(str(error)) from error
    if not (folder / _WEIGHTS).is_file():
        raise VersionError(f"{folder} has no {_WEIGHTS}; remove the folder")
    return manifest


def created_at(manifest: VersionManifest) -> float:
    """When a version was made, in seconds since 1970."""
    return datetime.fromisoformat(manifest.created).timestamp()


def compared(manifest: VersionManifest) -> str:
    """How a version did against the one that it began from, in words."""
    return f"mean IoU {manifest.candidate.mean:.3f}, {manifest.serving.mean:.3f} before (on {manifest.measured_on})"
