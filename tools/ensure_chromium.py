"""Find a Chromium to drive, or install one: the browser tests and the demo's screenshot need it.

In order: a Chromium or Chrome that is there, Debian's package (as root or with passwordless sudo), Playwright's own download.
Run ``python -m tools.ensure_chromium`` to do it now; it prints the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from tools.debian import install_debian_package

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

ARGUMENTS = (
    "--no-sandbox",  # containers and CI run as root; only pages of our own servers are opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # A closed network refuses what a fresh Chromium asks for on its own, many times a second.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoChromiumError(RuntimeError):
    """There is no Chromium and none could be installed; the message says what to do."""


def find_chromium() -> Path | None:
    """Path of an installed Chromium: the one named in ``CHROMIUM``, on PATH, or among Playwright's downloads; else ``None``."""
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named)
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    downloads = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    return max(downloads.glob("chromium-*/chrome-linux*/chrome"), default=None)


def ensure_chromium() -> Path:
    """Path of a Chromium, installed first where there is none.

    Raises:
        NoChromiumError: nothing worked.
    """
    for install in (None, partial(install_debian_package, "chromium"), _install_playwrights_own):
        if install is not None:
            install()
        found = find_chromium()
        if found:
            return found
    raise NoChromiumError(
        "No Chromium was found and none could be installed. Install one (Debian or Ubuntu: apt-get install chromium)"
        " or name it: CHROMIUM=/path/to/chromium"
    )


def _install_playwrights_own() -> None:
    print("Downloading Playwright's Chromium", file=sys.stderr)
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main() -> int:
    """Print the path of a Chromium, or one line why there is none."""
    try:
        print(f"Chromium: {ensure_chromium()}")
    except NoChromiumError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
