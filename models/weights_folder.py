"""A folder of weights: ``model.safetensors`` (half precision, our own names) and ``engine.json`` (what kind of engine they make).

A profile is such a folder by its name; those that ship lie in ``models/weights/``. This file finds folders and tells their version. It
imports no torch, so that a service knows at its start what it is going to serve; :mod:`models.weights_tensors` reads the numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.version_folder import DELTA_FILE, VERSION_FILE, is_version_folder, read_version
from models.weights_error import WeightsError

__all__ = ["WeightsError", "WeightsFolder", "find_weights", "open_weights_folder", "profiles"]

WEIGHTS_FILE = "model.safetensors"
MANIFEST_FILE = "engine.json"
PROFILES_DIR = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class WeightsFolder:
    """One set of weights on disk."""

    path: Path
    manifest: Mapping[str, Any]
    """Content of ``engine.json``; ``architecture`` and ``release`` are always there, each architecture reads the rest itself."""
    version: str
    """``<folder name>-<release>+<first 8 hex digits of the SHA-256 of the weights>``: other numbers, other version. A fine-tuned version
    has the name that it was given."""
    digest: str
    """SHA-256 of ``model.safetensors``, in hexadecimal."""
    delta: Path | None = None
    """Tensors that replace some of these weights, where this is a fine-tuned version of them."""

    @property
    def name(self) -> str:
        """Name of the profile: that of the folder."""
        return self.path.name


def profiles() -> list[str]:
    """Names of the profiles that ship."""
    return sorted(manifest.parent.name for manifest in PROFILES_DIR.glob(f"*/{MANIFEST_FILE}"))


def find_weights(profile_or_path: str | Path) -> WeightsFolder:
    """The weights that :func:`models.load_engine` would load, without loading them.

    Args:
        profile_or_path: name of a profile that ships, or path of a weights folder, of the weights file in it, or of the folder of a
            fine-tuned version (:mod:`models.version_folder`).

    Raises:
        WeightsError: no such profile, a file is missing or cannot be read, a manifest is not what it should be, or the weights that a
            version changes are gone.
    """
    try:
        place = _place_of(profile_or_path)
        return _open_version(place.resolve()) if is_version_folder(place) else open_weights_folder(place)
    except (OSError, RuntimeError) as error:  # RuntimeError: a ~user that does not exist
        raise WeightsError(f"the weights {str(profile_or_path)!r} cannot be read: {error}; check path and permissions") from error


def open_weights_folder(path: Path) -> WeightsFolder:
    """Read the manifest and take the weights' digest.

    Raises:
        WeightsError: a file is missing or the manifest is not what it should be.
    """
    path = path.resolve()
    missing = [name for name in (MANIFEST_FILE, WEIGHTS_FILE) if not (path / name).is_file()]
    if missing:
        raise WeightsError(f"no {' and no '.join(missing)} in {path}; a weights folder holds {MANIFEST_FILE} and {WEIGHTS_FILE}")
    manifest = _read_manifest(path / MANIFEST_FILE)
    status = (path / WEIGHTS_FILE).stat()
    digest = _digest(path / WEIGHTS_FILE, (status.st_ino, status.st_size, status.st_mtime_ns))
    return WeightsFolder(path, manifest, f"{path.name}-{manifest['release']}+{digest[:8]}", digest)


def _open_version(path: Path) -> WeightsFolder:
    manifest = read_version(path)
    base = open_weights_folder(_place_of(manifest.base.profile))
    if base.digest != manifest.base.digest:
        raise WeightsError(
            f"{path / VERSION_FILE} changes the weights {manifest.base.version} of {manifest.base.profile}, but {base.version} lies "
            "there now; a version answers only with the weights it was trained on: train it again"
        )
    return replace(base, manifest={**base.manifest, **manifest.engine}, version=manifest.version, delta=path / DELTA_FILE)


def _place_of(profile_or_path: str | Path) -> Path:
    if str(profile_or_path) in profiles():
        return PROFILES_DIR / str(profile_or_path)
    path = Path(profile_or_path).expanduser()
    if path.name == WEIGHTS_FILE and path.is_file():
        return path.parent
    if not path.is_dir():
        raise WeightsError(
            f"no profile and no folder is called {str(profile_or_path)!r}; the profiles are: {', '.join(profiles()) or 'none'}. "
            f"Name one of them, or a folder with {MANIFEST_FILE} and {WEIGHTS_FILE}, as `wordmask checkpoints convert` makes it"
        )
    return path


@lru_cache(maxsize=16)
def _digest(path: Path, identity: tuple[int, int, int]) -> str:
    """SHA-256 of a file, in hexadecimal. ``identity`` changes with the content: a service asks more than once, and weights may be large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON ({error}); get the weights folder anew") from error
    absent = [key for key in ("architecture", "release") if not isinstance(manifest, dict) or not isinstance(manifest.get(key), str)]
    if absent:
        raise WeightsError(f"{path} lacks the text {' and '.join(map(repr, absent))}; expected an object that names both")
    return dict(manifest)
