"""``wordmask serve``: the service that Label Studio talks to."""

from __future__ import annotations

import socket
from typing import Annotated, Any

import typer

from backend.errors import SettingsError
from backend.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; as WORDMASK_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one; as WORDMASK_PORT.")] = None,
    profile: Annotated[str | None, typer.Option(help="Model to serve, by profile name or path; as WORDMASK_PROFILE.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Use Flask's own server, for development only.")] = False,
) -> None:
    """Serve masks to Label Studio until Ctrl-C."""
    from backend.auth import check_auth_settings
    from backend.request_log import configure_logging

    given = {name: value for name, value in (("host", host), ("port", port), ("profile", profile)) if value is not None}
    settings = Settings.from_env().model_copy(update=given)
    check_auth_settings(settings)
    _check_profile(settings)
    configure_logging(settings.log_level)
    listener = _listen(settings)
    address, bound_port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    typer.echo(f"wordmask serves {settings.profile!r} on http://{shown}:{bound_port} (connect Label Studio to this address; Ctrl-C ends)")
    if address not in ("127.0.0.1", "::1") and settings.basic_auth_user is None:
        typer.echo("wordmask: anyone who reaches this address can use it; set BASIC_AUTH_USER and BASIC_AUTH_PASS", err=True)
    _run_flask(settings, listener) if dev else _run_gunicorn(settings, listener)


def _check_profile(settings: Settings) -> None:
    """Fail now, in one line, rather than in the background when the model is missing."""
    from models import find_weights

    try:
        find_weights(settings.profile)
    except (ValueError, OSError) as error:
        raise SettingsError(f"cannot serve {settings.profile!r}: {error}") from error


def _listen(settings: Settings) -> socket.socket:
    """Bind here, so that a taken port is one clear line and port 0 is known before the server starts."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; choose another --port or --host"
        ) from error
    listener.listen(128)
    return listener


def _run_flask(settings: Settings, listener: socket.socket) -> None:
    from werkzeug.serving import make_server

    from backend.app import create_app

    host, port = listener.getsockname()[:2]
    make_server(host, port, create_app(settings), threaded=True, fd=listener.fileno()).serve_forever()


def _run_gunicorn(settings: Settings, listener: socket.socket) -> None:
    """One worker: the model and its cache of embeddings are in memory once, and threads share them."""
    from gunicorn.app.base import BaseApplication

    class _Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            options: dict[str, Any] = {
                "bind": f"fd://{listener.fileno()}",
                "workers": 1,
                "worker_class": "gthread",
                "threads": settings.http_threads,
                "timeout": 120,
                "keepalive": 5,
                "graceful_timeout": 10,
                "loglevel": "warning",
                "control_socket_disable": True,
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            from backend.app import create_app

            return create_app(settings)  # in the worker, after the fork: torch's threads do not survive one

    _Server().run()
