"""The one service of a process: the library makes a model object for every request, and weights must be loaded once."""

from __future__ import annotations

from functools import lru_cache

from backend.app import build_image_loader
from backend.engine_holder import EngineHolder
from backend.prompt_memory import PromptMemory
from backend.service import Service
from backend.settings import Settings
from models import Engine


@lru_cache(maxsize=1)
def shared_service() -> Service:
    """The service that the environment describes; its engine begins to load with the first call, in the background.

    Raises:
        SettingsError: the environment holds a value that cannot be used.
    """
    service = build_service(Settings.from_env())
    service.engine.start()
    return service


def build_service(settings: Settings) -> Service:
    """A service whose engine is not loaded yet."""

    def load() -> Engine:
        from models import load_engine  # here, because it loads torch

        cache_dir = settings.data_dir / "embeddings" if settings.embedding_disk_cache else None
        return load_engine(settings.profile, device=settings.device, cache_bytes=int(settings.embedding_cache_bytes), cache_dir=cache_dir)

    holder = EngineHolder(load, profile=settings.profile, slots=settings.threads, max_waiting=settings.max_waiting)
    return Service(settings, holder, build_image_loader(settings), PromptMemory(settings.data_dir / "prompts.sqlite3"))
