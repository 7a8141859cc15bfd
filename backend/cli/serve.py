"""``wordmask serve``: the service that Label Studio talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from backend.settings import Settings

if TYPE_CHECKING:
    from flask import Flask


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on, if not that of the settings.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one, if not that of the settings.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not that of the settings.")] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch and convert the profile's published weights first, where they are not here yet.")
    ] = False,
    dev: Annotated[bool, typer.Option("--dev", help="Use Flask's own server, for development only.")] = False,
) -> None:
    """Serve masks to Label Studio until Ctrl-C."""
    from backend.app import create_app, weights_version
    from backend.auth import check_auth_settings
    from backend.cli.checkpoints import prepare
    from backend.request_log import configure_logging
    from backend.server import listen, run_flask, run_gunicorn, url_of
    from backend.trainer_process import TrainerKeeper

    given = {name: value for name, value in (("host", host), ("port", port), ("profile", profile)) if value is not None}
    settings = Settings.from_env().model_copy(update=given)
    check_auth_settings(settings)
    if fetch:
        prepare(settings)
    version = weights_version(settings)
    listener = listen(settings.host, settings.port)
    configure_logging(settings.log_level)
    typer.echo(f"wordmask serves {version} at {url_of(listener)}: the address to connect in Label Studio. Ctrl-C ends it.")
    if settings.host not in ("127.0.0.1", "localhost", "::1") and settings.basic_auth_user is None:
        typer.echo("wordmask: whoever reaches this address can use it; set BASIC_AUTH_USER and BASIC_AUTH_PASS", err=True)

    def make_app(worker: int = 0) -> Flask:
        if settings.trainer and worker == 0:
            TrainerKeeper(settings).start()  # here, in the worker: it ends with the worker, however that ends
        return create_app(settings, worker=worker)

    if dev:
        run_flask(make_app, listener)
    else:
        run_gunicorn(make_app, listener, threads=settings.http_threads, workers=settings.workers)
