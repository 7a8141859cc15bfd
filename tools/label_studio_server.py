"""A throw-away Label Studio for tests and the demo: SQLite, loopback only, a known account, no calls to the outside.

``python -m tools.label_studio_server`` runs one in the foreground until Ctrl-C.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tools.processes import ServerError, ServerProcess, free_port, leave_by_exceptions

ROOT = Path(__file__).resolve().parents[1]
EMAIL = "demo@wordmask.local"
PASSWORD = "wordmask-demo"
TOKEN = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"

TEMPLATE = ROOT / ".cache" / "label-studio-template"
"""A data folder with all migrations done: starting on a copy takes 4 s instead of 25."""


class LabelStudioServer(ServerProcess):
    """Label Studio on a free loopback port, in an environment of its own.

    Args:
        data_dir: folder for its database, uploads and log; filled from the template when empty.
        port: where to listen; a free one when left out.

    Raises:
        ServerError: Label Studio is not installed.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self.files_dir = self.data_dir / "files"
        self.files_dir.mkdir(parents=True, exist_ok=True)
        self.token = TOKEN
        port = port or free_port()
        url = f"http://127.0.0.1:{port}"
        super().__init__(
            [str(_executable()), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)],
            url=url,
            log=self.data_dir / "label-studio.log",
            environment=_environment(url, self.data_dir, self.files_dir),
        )


def new_label_studio(data_dir: Path, port: int | None = None) -> LabelStudioServer:
    """A server, not yet started, on ``data_dir``; an empty folder starts from the migrated template (made first when missing).

    Args:
        data_dir: as for :class:`LabelStudioServer`.
        port: where to listen; a free one when left out.
    """
    database = data_dir / "label_studio.sqlite3"
    if not database.exists():
        template = _template()
        data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copytree(template, data_dir, dirs_exist_ok=True)
    return LabelStudioServer(data_dir, port)


def _template() -> Path:
    # The pins name the version of Label Studio, so a new one gets a new template.
    key = hashlib.sha256((ROOT / "constraints-label-studio.txt").read_bytes()).hexdigest()[:12]
    folder = TEMPLATE / key
    TEMPLATE.mkdir(parents=True, exist_ok=True)
    with (TEMPLATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes that test side by side make it once
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=TEMPLATE) as scratch:
                made = Path(scratch) / "data"
                with LabelStudioServer(made):
                    pass
                (made / "label-studio.log").unlink()
                made.rename(folder)
    return folder


def _executable() -> Path:
    environment = ROOT / os.environ.get("LABEL_STUDIO_VENV", ".venv-label-studio")
    executable = environment / "bin" / "label-studio"
    if not executable.exists():
        raise ServerError(f"Label Studio is not installed: {executable} does not exist. Run `make install-label-studio`.")
    return executable


def _environment(url: str, data_dir: Path, files_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LABEL_STUDIO", "DJANGO", "WORDMASK"))}
    return inherited | {
        # The account: made at the first start, only when name and password are both given.
        "LABEL_STUDIO_USERNAME": EMAIL,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        # Where it lives.
        "LABEL_STUDIO_BASE_DATA_DIR": str(data_dir),
        "LABEL_STUDIO_HOST": url,
        "DJANGO_DB": "sqlite",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files_dir),
        # Nothing leaves the machine.
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_SENTRY_DSN": "",
        "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_SENTRY_RATE": "0",
        # Its guards refuse backends and webhooks at loopback addresses, where ours are.
        "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
        "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }


def main() -> int:
    """Run a Label Studio until Ctrl-C and print how to reach it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".demo" / "label-studio", help="folder for database and uploads")
    arguments = parser.parse_args()
    leave_by_exceptions()
    try:
        with new_label_studio(arguments.data_dir) as server:
            print(f"Label Studio: {server.url}\nlogin: {EMAIL} / {PASSWORD}\ntoken: {TOKEN}\nCtrl-C ends it.", flush=True)
            while True:
                time.sleep(3600)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
