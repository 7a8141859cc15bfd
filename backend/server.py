"""The web server around the app: gunicorn in production, Flask's own for development. Both serve a socket that is bound here."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from backend.errors import SettingsError

SILENCE_SECONDS = 20
"""A client that stops sending in the middle of a request for longer is hung up on: it holds a thread, and there are few."""


def listen(host: str, port: int) -> socket.socket:
    """Bind before the server starts, so that a taken port is one clear line and the number behind port 0 is known.

    Raises:
        SettingsError: the address cannot be bound.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise SettingsError(f"cannot listen on {host}:{port}: {reason}; choose another --port or --host") from error
    # Connections inherit it, and gunicorn has no such limit of its own for bodies.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENCE_SECONDS, 0))
    listener.listen(128)
    return listener


def url_of(listener: socket.socket) -> str:
    """The address that clients on this machine use."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_gunicorn(make_app: Callable[[int], Flask], listener: socket.socket, *, threads: int, workers: int = 1) -> None:
    """Serve until a signal. Threads of a worker share its model and embeddings; more workers are for more devices.

    Args:
        make_app: called with the worker's number, 0 to ``workers - 1``, in the worker, after the fork, because threads that torch has
            started do not survive one. A worker that replaces another has its number.
        listener: bound and listening.
        threads: requests that a worker answers at once.
        workers: processes that serve.
    """

    class _Server(BaseApplication):  # type: ignore[misc]
        number = 0

        def load_config(self) -> None:
            self.cfg.set("bind", f"fd://{listener.fileno()}")
            self.cfg.set("workers", workers)
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", threads)
            self.cfg.set("timeout", 120)
            self.cfg.set("graceful_timeout", 10)
            self.cfg.set("loglevel", "warning")
            self.cfg.set("control_socket_disable", True)
            self.cfg.set("pre_fork", self._number_worker)

        def load(self) -> Flask:
            return make_app(self.number)

        def _number_worker(self, arbiter: Any, worker: Any) -> None:
            # In the master, so the worker is born with it; it keeps what was set here.
            worker.number = first_free_number(other.number for other in arbiter.WORKERS.values())
            self.number = worker.number

    _Server().run()


def first_free_number(taken: Iterable[int]) -> int:
    """The smallest number from 0 that is not taken."""
    numbers = set(taken)
    return next(number for number in count() if number not in numbers)


def run_flask(make_app: Callable[[], Flask], listener: socket.socket) -> None:
    """Serve until Ctrl-C with the server that comes with Flask."""
    from werkzeug.serving import make_server

    host, port = listener.getsockname()[:2]
    make_server(host, port, make_app(), threaded=True, fd=listener.fileno()).serve_forever()
