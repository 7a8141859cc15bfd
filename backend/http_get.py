"""One GET on a connection of our own: to addresses that were checked, and over within a given time.

The standard library's ``http.client``, because ``requests`` and ``urllib3`` resolve the name of a host themselves: what they connect to
need not be what was checked. Neither can bound a whole download in time. No proxy is used, as its resolver could not be checked either.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlsplit

import requests

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 10.0

# What may stand in an address as it is; everything else, spaces and line ends too, is escaped.
_PATH_CHARS = "/%:@!$&'()*+,;=~-._"
_QUERY_CHARS = _PATH_CHARS + "?[]"


class Deadline:
    """Cuts a connection when the time is up. Time-outs of a socket do not: they start again with every byte that trickles in."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.is_over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()

    def watch(self, sock: socket.socket) -> None:
        """Cut this connection when the time is up."""
        self._socket = sock
        if self.is_over:
            self._cut()

    def limit(self, seconds: float) -> float:
        """``seconds``, or what is left of the time."""
        if self.is_over:
            raise TimeoutError
        return max(min(seconds, self.ends - time.monotonic()), 0.001)

    def _cut(self) -> None:
        self.is_over = True
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # a TLS socket's own method is not meant for other threads


@contextmanager
def http_get(url: str, addresses: Sequence[str], headers: Mapping[str, str], deadline: Deadline) -> Iterator[http.client.HTTPResponse]:
    """Ask for ``url`` at the first of ``addresses`` that can be connected to; redirects are left to the caller.

    Args:
        url: http or https address without a user.
        addresses: checked IP addresses of its host.
        headers: sent beside ``Host``, ``Accept`` and ``User-Agent``.
        deadline: by when the body must have been read.

    Raises:
        OSError, http.client.HTTPException: no connection, no answer, or none in time; :func:`reason_of` tells it in words.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    connection = http.client.HTTPConnection(host, port)
    sock = _connect(addresses, port, deadline)
    try:
        if parts.scheme == "https":
            sock = _tls_context().wrap_socket(sock, server_hostname=host)
        deadline.watch(sock)
        sock.settimeout(deadline.limit(_READ_SECONDS))
        connection.sock = sock
        target = quote(parts.path or "/", safe=_PATH_CHARS) + (f"?{quote(parts.query, safe=_QUERY_CHARS)}" if parts.query else "")
        own = {"Host": parts.netloc.encode("idna").decode(), "Accept": "image/*,*/*;q=0.5", "User-Agent": "wordmask"}
        connection.request("GET", target, headers={**own, **headers})
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
        if deadline.is_over:  # a body without a length ends quietly when the connection is cut
            raise TimeoutError
    finally:
        connection.close()
        sock.close()


def _connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    last: OSError = OSError("the host has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=deadline.limit(_CONNECT_SECONDS))
        except OSError as error:
            last = error
    raise last


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """The authorities that ``requests`` trusts, so that one setting (``REQUESTS_CA_BUNDLE``) serves images and API alike."""
    bundle = requests.Session().merge_environment_settings("https://", {}, None, None, None)["verify"]
    path = str(bundle if isinstance(bundle, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH)
    return ssl.create_default_context(capath=path) if Path(path).is_dir() else ssl.create_default_context(cafile=path)


def reason_of(error: Exception) -> str:
    """What happened, in words of ours: the text of a library may repeat the address with its query."""
    match error:
        case TimeoutError():
            return "the host was silent for too long"
        case ConnectionRefusedError():
            return "the connection was refused; does the server run?"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}); name the authority's file in REQUESTS_CA_BUNDLE"
        case ssl.SSLError():
            return "no secure connection could be made"
        case http.client.IncompleteRead():
            return "the connection ended before the file did"
        case http.client.HTTPException():
            return "the answer is not HTTP"
        case _:
            return f"the connection failed ({type(error).__name__})"
