"""Gathers the facts about this machine that the doctor judges: packages, devices, weights, disk."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backend import doctor, doctor_weights
from backend.checkpoints.fetch import store_of
from backend.checkpoints.profiles import registry_of, state_of, weights_place
from backend.checkpoints.store import Store
from backend.doctor import Check
from backend.doctor_weights import FileFacts
from backend.errors import BackendError, SettingsError
from backend.settings import Settings
from models import Checkpoint, Engine, PlacedEngine, WeightsError, find_weights

_PACKAGES = (
    "wordmask", "torch", "torchvision", "open_clip_torch", "segment-anything", "safetensors", "numpy", "pillow", "flask",
    "label-studio-sdk",
)  # fmt: skip


def look_at_machine(settings: Settings, load_engine: Callable[[], Engine] | None) -> Iterator[Check]:
    """Everything that needs no Label Studio.

    Args:
        settings: of the service.
        load_engine: loads the model; ``None`` leaves out what takes PyTorch: model and devices.
    """
    yield doctor.check_python(sys.version_info[:2], _package_versions())
    if load_engine is not None:
        yield _look_at_devices(settings)
    yield _look_at_data_folder("data folder", settings.data_dir, "WORDMASK_DATA_DIR")
    try:
        yield from _look_at_weights(settings)
    except BackendError as error:
        yield Check("weights", "fail", error.message, "correct or remove the file that it names")
    if load_engine is not None:
        yield _load(load_engine, settings)


def _look_at_devices(settings: Settings) -> Check:
    from models import list_devices  # loads torch

    return doctor_weights.check_devices(list_devices(), settings.device)


def _look_at_weights(settings: Settings) -> Iterator[Check]:
    version = problem = ""
    try:
        version = find_weights(weights_place(settings)).version
    except (WeightsError, SettingsError) as error:
        problem = str(error)
    state = state_of(settings)
    yield doctor_weights.check_weights(settings.profile, state, version, problem)
    store = store_of(settings)
    if settings.checkpoint_dir is not None:
        yield _look_at_data_folder("checkpoint folder", store.folder, "WORDMASK_CHECKPOINT_DIR")
    files = [facts for entry in registry_of(settings).checkpoints.values() if (facts := _facts_of(entry, store)) is not None]
    yield doctor_weights.check_files(str(store.folder), files)


def _facts_of(entry: Checkpoint, store: Store) -> FileFacts | None:
    match store.state_of(entry):
        case "absent":
            return None
        case "partial":
            return FileFacts(entry.name, 0, None, is_partial=True)
        case "present":
            path, recorded = store.find(entry), store.recorded(entry)
            assert path is not None
            known = recorded.size if recorded is not None and recorded.file == path.name else None
            return FileFacts(entry.name, path.stat().st_size, entry.size or known)


def _look_at_data_folder(name: str, folder: Path, setting: str) -> Check:
    problem, free = "", 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        problem = error.strerror or str(error)
    return doctor.check_data_folder(str(folder), free, problem, name=name, setting=setting)


def _load(load_engine: Callable[[], Engine], settings: Settings) -> Check:
    started = time.monotonic()
    try:
        engine = load_engine()
    except BackendError as error:
        return Check("model", "fail", error.message, "correct WORDMASK_PROFILE or WORDMASK_DEVICE, or install the package again")
    where = " in ".join(engine.placement.values()) if isinstance(engine, PlacedEngine) else ""
    seconds = time.monotonic() - started
    return Check("model", "ok", f"{settings.profile}: {engine.version}, loaded in {seconds:.1f} s" + (f", on {where}" if where else ""))


def _package_versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
