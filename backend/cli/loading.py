"""How commands that compute themselves get their engine."""

from __future__ import annotations

from collections.abc import Callable

import typer

from backend.checkpoints.profiles import weights_place
from backend.errors import NotReady
from backend.settings import Settings
from models import Engine


def load_for(context: typer.Context, settings: Settings, profile: str | None, device: str | None) -> Engine:
    """Load the engine that the options name, else the one that the settings name.

    Args:
        context: of the command; its ``obj``, if set, loads in place of :func:`models.load_engine` (tests hand in a fake so).
        settings: give what no option says.
        profile: a profile's name or a weights folder.
        device: where to compute.

    Raises:
        NotReady: the weights are missing or cannot be used.
        SettingsError: the profile's weights have yet to be fetched or converted.
    """
    load = context.obj or _default_loader()
    wanted = profile or settings.profile
    place = weights_place(settings.model_copy(update={"profile": wanted}))
    try:
        engine: Engine = load(
            place,
            device=device or settings.device,
            options=settings.engine_options,
            cache_bytes=int(settings.embedding_cache_bytes),
        )
    except (OSError, ValueError) as error:
        raise NotReady(f"the model {wanted!r} could not be loaded: {error}") from error
    return engine


def project_weights(settings: Settings, project: int) -> str | None:
    """Folder of the version that serves a project; ``None`` where that is the base, or belongs to other weights than the settings name."""
    from backend.app import weights_version
    from backend.versions.of_project import line_of_project

    serving = line_of_project(settings, project).serving()
    if serving is None or serving.manifest.base.version != weights_version(settings):
        return None
    return str(serving.folder)


def _default_loader() -> Callable[..., Engine]:
    from models import load_engine  # loads torch

    return load_engine
