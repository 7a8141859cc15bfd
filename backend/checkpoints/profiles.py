"""Which weights a profile's name stands for, and what is still to be done before it can serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.checkpoints.fetch import store_of
from backend.errors import SettingsError
from backend.settings import Settings
from models import Profile, Registry, RegistryError, profiles, read_registry

_MANIFEST = "engine.json"


@dataclass(frozen=True, slots=True)
class ProfileState:
    """One profile of the registry."""

    profile: Profile
    weights: Path | None
    """Its weights folder; ``None`` for one that ships and for one that is not converted yet."""
    ready: bool
    next_step: str
    """Command that brings it closer to serving; empty when it is ready."""


def registry_of(settings: Settings) -> Registry:
    """The registry, with the further file that the settings name.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return read_registry(settings.checkpoint_registry)
    except RegistryError as error:
        raise SettingsError(str(error)) from error


def profile_states(settings: Settings, registry: Registry) -> list[ProfileState]:
    """Every profile and whether it can serve; no file is opened."""
    return [_state(profile, settings, registry) for profile in registry.profiles.values()]


def weights_place(settings: Settings) -> str:
    """What :func:`models.find_weights` and :func:`models.load_engine` find the settings' profile by.

    Raises:
        SettingsError: the profile is declared, but its weights are not here; the message says which command is next.
    """
    state = state_of(settings)
    if state is None or (state.ready and state.weights is None):
        return settings.profile
    if state.weights is None:
        at_once = f"wordmask serve --profile {state.profile.name} --fetch"
        raise SettingsError(
            f"the weights of profile {state.profile.name!r} are not here yet; next: {state.next_step} (or all of it: {at_once})"
        )
    return str(state.weights)


def state_of(settings: Settings) -> ProfileState | None:
    """State of the settings' profile; ``None`` where they name a folder instead."""
    registry = registry_of(settings)
    profile = registry.profiles.get(settings.profile)
    return None if profile is None else _state(profile, settings, registry)


def _state(profile: Profile, settings: Settings, registry: Registry) -> ProfileState:
    if profile.name in profiles():
        return ProfileState(profile, None, True, "")
    store = store_of(settings)
    folder = store.profile_folder(profile.name)
    if (folder / _MANIFEST).is_file():
        return ProfileState(profile, folder, True, "")
    convert = f"wordmask checkpoints convert {profile.name}"
    if profile.checkpoint is None:
        return ProfileState(profile, None, False, f"{convert} --from FILE")
    entry = registry.checkpoint(profile.checkpoint)
    if store.find(entry) is not None:
        return ProfileState(profile, None, False, convert)
    if entry.url is None and entry.repository is None:
        return ProfileState(profile, None, False, f"put your file into {store.folder_of(entry)}, then {convert}")
    return ProfileState(profile, None, False, f"wordmask checkpoints fetch {entry.name}, then {convert}")
