"""Our own service as people run it (``wordmask serve``, gunicorn) on a free loopback port, for the demo and end-to-end tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.processes import ServerProcess, free_port


class BackendServer(ServerProcess):
    """``wordmask serve`` as a process group of its own.

    Args:
        data_dir: folder for its state and log.
        label_studio_url: where it fetches uploaded images.
        label_studio_token: token of the Label Studio user it acts as.
        port: where to listen; a free one when left out.
        settings: further environment variables, for example ``BASIC_AUTH_USER``.
    """

    def __init__(self, data_dir: Path, label_studio_url: str, label_studio_token: str, *, port: int | None = None, **settings: str) -> None:
        port = port or free_port()
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("WORDMASK_", "LABEL_STUDIO_", "BASIC_AUTH_"))
        }
        super().__init__(
            [str(Path(sys.executable).parent / "wordmask"), "serve"],
            url=f"http://127.0.0.1:{port}",
            health="/ready",  # once the weights are loaded
            log=data_dir.resolve() / "backend.log",
            environment=inherited
            | {
                "LABEL_STUDIO_URL": label_studio_url,
                "LABEL_STUDIO_API_KEY": label_studio_token,
                "WORDMASK_PORT": str(port),
                "WORDMASK_DATA_DIR": str(data_dir.resolve() / "state"),
                "NO_PROXY": "127.0.0.1,localhost",
                **settings,
            },
        )
