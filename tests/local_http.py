"""A real HTTP server on loopback whose answers a test writes down: what the backend fetches from is never mocked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it arrived; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer. ``write`` sends the body itself, for bodies that come slowly or never end."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    write: Callable[[Callable[[bytes], None]], None] | None = None


Route = Reply | Callable[[Request], Reply]


class LocalServer:
    """The running server: ``routes`` by path without query, and every request that came in."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.routes: dict[str, Route] = {}
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        route = self.routes.get(urlsplit(request.path).path, Reply(404, b"nothing here"))
        return route if isinstance(route, Reply) else route(request)


@contextmanager
def local_server(tls: ssl.SSLContext | None = None) -> Iterator[LocalServer]:
    """Serve on a free loopback port until the block ends, over TLS when a context is given."""
    http = _QuietServer(("127.0.0.1", 0), _Handler)
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    http.daemon_threads = True
    http.block_on_close = False  # handlers that still write slowly must not hold up the test
    server = LocalServer(http.server_port)
    http.script = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients here break off handshakes and requests on purpose."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 20

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        script: LocalServer = self.server.script  # type: ignore[attr-defined]
        reply = script.answer(Request(self.command, self.path, headers, self.rfile.read(length)))
        with suppress(ConnectionError):  # a client that has seen enough hangs up
            self.send_response(reply.status)
            if reply.write is None and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.write is None:
                self.wfile.write(reply.body)
            else:
                reply.write(self.wfile.write)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - names that http.server looks for

    def log_message(self, *_: object) -> None:
        pass
