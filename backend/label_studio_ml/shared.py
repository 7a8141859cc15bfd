"""The one service of a process: the library makes a model object for every request, and weights must be loaded once."""

from __future__ import annotations

from functools import lru_cache

from backend.app import build_service
from backend.service import Service
from backend.settings import Settings


@lru_cache(maxsize=1)
def shared_service() -> Service:
    """The service that the environment describes; its engine begins to load with the first call, in the background.

    Raises:
        SettingsError: the environment holds a value that cannot be used.
    """
    service = build_service(Settings.from_env())
    service.engine.start()
    return service
