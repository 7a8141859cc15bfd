"""From published files to a profile that can serve: fetched where that is wanted, verified, converted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from backend.checkpoints.errors import CheckpointError, NoSpace, NotWeights
from backend.checkpoints.fetch import by_hand
from backend.checkpoints.store import Store
from models import Checkpoint, Profile, Registry, UpstreamPart, WeightsError, WeightsFolder

Bring = Callable[[Checkpoint], Path]
"""Gives the file of a checkpoint, or raises :class:`CheckpointError`."""

Report = Callable[[int, int], None]


def from_store(store: Store) -> Bring:
    """Takes files that are here already, their digest compared."""

    def bring(checkpoint: Checkpoint) -> Path:
        path = store.find(checkpoint)
        if path is None:
            hand = by_hand(checkpoint, store)
            raise CheckpointError(f"{checkpoint.name} is not here; run: wordmask checkpoints fetch {checkpoint.name}. By hand: {hand}")
        store.check_digest(checkpoint, path)
        return path

    return bring


def convert_profile(
    profile: Profile,
    registry: Registry,
    store: Store,
    *,
    bring: Bring,
    published: Path | None = None,
    upstream: Mapping[UpstreamPart, Path] | None = None,
    report: Report = lambda done, total: None,
) -> WeightsFolder:
    """Write a profile's weights folder into the store.

    Args:
        profile: which one.
        registry: knows its checkpoints.
        store: of files and profiles.
        bring: gives the published files that no other argument names.
        published: a checkpoint file in place of the profile's own.
        upstream: files that frozen parts shall come from in any case.
        report: is told the bytes written and how many there will be.

    Raises:
        CheckpointError: a file is missing or not what it should be, or the disk is full; nothing is written then.
    """
    from models import convert_checkpoint, verify_checkpoint  # load torch

    if profile.checkpoint is None:
        raise CheckpointError(f"profile {profile.name!r} ships with Wordmask and has nothing to convert")
    entry = registry.checkpoint(profile.checkpoint)
    path = published or bring(entry)
    files = dict(upstream or {})
    folder = store.profile_folder(profile.name)
    try:
        lacking = verify_checkpoint(path, entry).lacking
        if entry.format == "sam":  # a profile without training: everything that is not SAM comes from elsewhere
            lacking = frozenset(profile.upstream)
        for part in sorted(lacking - set(files)):
            if part in profile.upstream:
                files[part] = bring(registry.checkpoint(profile.upstream[part]))
        _require_space(store.folder, sum(file.stat().st_size for file in (path, *files.values())))
        return convert_checkpoint(profile, path, folder, upstream=files, report=report)
    except WeightsError as error:
        raise NotWeights(f"{profile.name}: {error}") from error
    except OSError as error:
        raise NoSpace(f"{folder} cannot be written: {error.strerror or error}; free some space, or set WORDMASK_CHECKPOINT_DIR") from error


def _require_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpace(
            f"{folder} has {free / 2**30:.1f} GiB free, converting may take {needed / 2**30:.1f} GiB; "
            "free some space, or set WORDMASK_CHECKPOINT_DIR to another disk"
        )
