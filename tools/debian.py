"""Debian's packages, for programs that tests drive and that no Python package brings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def install_debian_package(name: str) -> None:
    """Install a package, as root or with passwordless sudo; do nothing where neither is possible."""
    if not shutil.which("apt-get"):
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and (not shutil.which("sudo") or not _run([*prefix, "true"])):
        return
    print(f"Installing Debian's package {name}", file=sys.stderr)
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    _run([*prefix, "apt-get", "update", "-qq"])
    _run([*prefix, *environment, "apt-get", "install", "-qq", "--yes", "--no-install-recommends", name])


def _run(command: list[str]) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
