"""What ``label-studio-ml start DIR`` runs, with ``DIR`` this folder; under gunicorn ``_wsgi:app``.

Settings are those of ``wordmask serve``, from the environment and ``.env``; ``--kwargs profile=tiny device=cpu`` sets single ones.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from backend.app import weights_version
from backend.auth import check_auth_settings
from backend.errors import SettingsError
from backend.request_log import configure_logging
from backend.settings import Settings, variable_name

if TYPE_CHECKING:
    from flask import Flask

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def make_app(model_dir: str | None = None, basic_auth_user: str | None = None, basic_auth_pass: str | None = None) -> Flask:
    """The library's app with our model class.

    Args:
        model_dir: where the library keeps its small database; the data folder of the settings when left out.
        basic_auth_user: user name that Label Studio must send; ``BASIC_AUTH_USER`` when left out.
        basic_auth_pass: password that Label Studio must send; ``BASIC_AUTH_PASS`` when left out.

    Raises:
        SettingsError: the environment holds a value that cannot be used, or names weights that are not there.
    """
    settings = Settings.from_env()
    check_auth_settings(settings)
    weights_version(settings)
    if model_dir is not None:
        os.environ["MODEL_DIR"] = model_dir
    # The library opens its database, cache.db, when it is imported: in the current folder, unless told otherwise. The command
    # `label-studio-ml` imports it before it runs this file, and leaves an empty one there unless its own environment has MODEL_DIR.
    os.environ.setdefault("MODEL_DIR", str(settings.data_dir / "label-studio-ml"))
    from label_studio_ml.api import init_app

    from backend.label_studio_ml.model import WordmaskModel

    app: Flask = init_app(model_class=WordmaskModel, basic_auth_user=basic_auth_user, basic_auth_pass=basic_auth_pass)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Serve with Flask's own server until Ctrl-C."""
    parser = _parser()
    args = parser.parse_args(arguments)
    for pair in args.kwargs:
        name, _, value = pair.partition("=")
        if name not in Settings.model_fields:
            parser.error(f"--kwargs: {name!r} is not a setting; known are {', '.join(Settings.model_fields)}")
        os.environ[variable_name(name)] = value
    try:
        settings = Settings.from_env()
        app = make_app(args.model_dir, args.basic_auth_user, args.basic_auth_pass)
    except SettingsError as error:
        parser.error(error.message)
    configure_logging(args.log_level or settings.log_level)
    if args.check:
        from backend.label_studio_ml.shared import shared_service

        engine = shared_service().engine.wait(timeout=600)
        logging.getLogger(__name__).info("the model %s is loaded", engine.version)
    app.run(host=args.host or settings.host, port=settings.port if args.port is None else args.port, debug=args.debug, use_reloader=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-p", "--port", type=int, help="port to listen on, if not that of the settings")
    parser.add_argument("--host", help="address to listen on, if not that of the settings")
    parser.add_argument("--kwargs", "--with", nargs="+", default=[], metavar="KEY=VAL", help="settings, for example profile=tiny")
    parser.add_argument("-d", "--debug", action="store_true", help="Flask's debug mode; never where others can reach it")
    parser.add_argument("--log-level", choices=LEVELS, help="least severe message that is logged")
    parser.add_argument("--model-dir", type=lambda path: str(Path(path).expanduser()), help="folder of the library's own database")
    parser.add_argument("--check", action="store_true", help="load the model before serving, and stop when that fails")
    parser.add_argument("--basic-auth-user", help="user name that Label Studio must send")
    parser.add_argument("--basic-auth-pass", help="password that Label Studio must send")
    return parser


if __name__ == "__main__":
    main()
else:
    app = make_app()
