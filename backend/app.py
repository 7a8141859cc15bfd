"""The Flask app: everything is built here and passed on, nothing is global."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from backend.auth import authorize, check_auth_settings
from backend.checkpoints.profiles import weights_place
from backend.engine_holder import EngineHolder
from backend.errors import BackendError, SettingsError, error_body
from backend.export_routes import export_routes
from backend.failures import RecentFailures
from backend.images import ImageLoader
from backend.label_studio import client_of
from backend.learning import build_learning
from backend.page.routes import page_routes
from backend.prompt_memory import PromptMemory
from backend.request_log import current_request_id, log_requests
from backend.routes import label_studio_routes, operator_routes
from backend.service import Service
from backend.settings import Settings
from backend.version_routes import version_routes
from backend.versions.engines import ProjectEngines
from models import Engine, WeightsError, find_weights

LoadVersion = Callable[[Path, Engine], Engine]

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    images: ImageLoader | None = None,
    *,
    worker: int = 0,
    load_version: LoadVersion | None = None,
) -> Flask:
    """Build the service.

    Args:
        settings: read from the environment when left out.
        engine: a ready engine; when left out, the one that the settings name is loaded in the background and requests wait for it.
        images: fetches the tasks' images; built from the settings when left out.
        worker: number of this process among those that serve; with several GPUs each gets its own.
        load_version: makes the engine of a version's folder, given that of the weights it comes from; :func:`models.load_engine` when
            left out.

    Raises:
        SettingsError: the settings cannot be used, or name weights that are not there.
    """
    settings = settings or Settings.from_env()
    check_auth_settings(settings)
    service = build_service(settings, engine, images, worker=worker, load_version=load_version)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = int(settings.max_request_bytes)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    log_requests(app)
    app.before_request(lambda: authorize(request, settings))
    app.register_blueprint(label_studio_routes(service))
    app.register_blueprint(operator_routes(service))
    app.register_blueprint(version_routes(settings))
    app.register_blueprint(export_routes(settings))
    app.register_blueprint(page_routes(service))
    _answer_errors_alike(app)
    service.engine.start()
    if engine is not None:
        service.engine.wait(1.0)
    return app


def build_service(
    settings: Settings,
    engine: Engine | None = None,
    images: ImageLoader | None = None,
    *,
    worker: int = 0,
    load_version: LoadVersion | None = None,
) -> Service:
    """What the app serves, without HTTP; ``service.engine.start()`` begins to load the engine. As :func:`create_app` otherwise."""
    holder = EngineHolder(
        (lambda: engine) if engine is not None else (lambda: _load(settings, worker)),
        profile=settings.profile,
        version=engine.version if engine is not None else weights_version(settings),
        slots=settings.threads,
        max_waiting=settings.max_waiting,
    )
    failures = RecentFailures()
    projects = ProjectEngines(
        settings.shared_folder,
        load_version or (lambda folder, base: _load(settings, worker, folder, base)),
        most=settings.version_engines,
        on_problem=lambda project, reason: failures.add(project, None, reason),
    )
    return Service(
        settings,
        holder,
        images or build_image_loader(settings),
        PromptMemory(settings.data_dir / "prompts.sqlite3"),
        build_learning(settings),
        projects,
        failures,
    )


def weights_version(settings: Settings) -> str:
    """Version of the weights that the settings name; nothing is loaded for it.

    Raises:
        SettingsError: there are no such weights.
    """
    try:
        return find_weights(weights_place(settings)).version
    except WeightsError as error:
        raise SettingsError(f"cannot serve {settings.profile!r}: {error}; --profile or WORDMASK_PROFILE says which to serve") from error


def build_image_loader(settings: Settings) -> ImageLoader:
    """The loader of the tasks' images, with access to Label Studio where an address is configured."""
    return ImageLoader(settings, client_of(settings))


def _load(settings: Settings, worker: int, folder: Path | None = None, base: Engine | None = None) -> Engine:
    """The engine of the settings' weights, or of the version in a folder, which shares with ``base`` what it did not change."""
    from models import load_engine  # here, because it loads torch

    return load_engine(
        folder or weights_place(settings),
        device=settings.device,
        worker=worker,
        options=settings.engine_options,
        cache_bytes=int(settings.embedding_cache_bytes),
        cache_dir=settings.data_dir / "embeddings" if settings.embedding_disk_cache else None,
        beside=base,
    )


def _answer_errors_alike(app: Flask) -> None:
    """Give every failure the same body; details of unexpected ones go to the log alone, under the same request id."""

    @app.errorhandler(BackendError)
    def _known(error: BackendError) -> Response:
        logger.warning("%s: %s", error.code, error.message)
        response = _answer(error.status, error.code, error.message)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="wordmask"'
        return response

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        code = error.name.lower().replace(" ", "_")
        response = _answer(error.code or 500, code, f"{request.method} {request.path}: {error.description}")
        if error.code == 405 and error.valid_methods:  # type: ignore[attr-defined]
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
        return response

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        logger.exception("unexpected %s in %s %r", type(error).__name__, request.method, request.path)
        return _answer(500, "internal", "something unexpected went wrong; the service's log has the details under this request id")


def _answer(status: int, code: str, message: str) -> Response:
    response = jsonify(error_body(code, message, current_request_id()))
    response.status_code = status
    return response
