"""What publishers' servers do with a file: serve it in parts, break off, or answer with something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.local_http import Reply, Request


@dataclass
class PublishedFile:
    """A file as a server publishes it: with its ETag, and in parts where they are asked for.

    Args:
        content: of the file.
        etag: tells its versions apart; ``None`` for a server that sends none.
        breaks_after: bytes after which each of the next connections is cut.
        ranges: whether parts can be had.
    """

    content: bytes
    etag: str | None = '"v1"'
    breaks_after: list[int] = field(default_factory=list)
    ranges: bool = True
    sent: list[int] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        headers = {"ETag": self.etag} if self.etag else {}
        if wanted and self.ranges:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        body = self.content[start:]
        headers["Content-Length"] = str(len(body))
        cut = self.breaks_after.pop(0) if self.breaks_after else len(body)
        return Reply(206 if start else 200, b"", headers, self._writer(body[:cut]))

    def _writer(self, body: bytes) -> Callable[[Callable[[bytes], None]], None]:
        def write(send: Callable[[bytes], None]) -> None:
            self.sent.append(len(body))
            send(body)

        return write


def without_length(body: bytes) -> Reply:
    """An answer whose end is the end of the connection."""
    return Reply(200, b"", {"ETag": '"v1"'}, lambda send: send(body))
