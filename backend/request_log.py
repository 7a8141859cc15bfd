"""One id per request, in the answer, in every log line and in every error; one summary line per request."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid

from flask import Flask, Response, g, has_request_context, request

ID_HEADER = "X-Request-ID"
_ALLOWED_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

logger = logging.getLogger(__name__)


def current_request_id() -> str:
    """Id of the request that is being answered; ``-`` outside of one."""
    return str(g.get("request_id", "-")) if has_request_context() else "-"


def log_requests(app: Flask) -> None:
    """Give every request its id (the caller's, when it is a plain one) and log it when it is answered.

    Bodies, headers and query strings are never logged: they hold tokens, pictures and masks.
    """

    @app.before_request
    def _begin() -> None:
        given = request.headers.get(ID_HEADER, "")
        g.request_id = given if _ALLOWED_ID.fullmatch(given) else uuid.uuid4().hex
        g.started = time.monotonic()

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers[ID_HEADER] = current_request_id()
        elapsed_ms = 1000 * (time.monotonic() - g.started)
        level = logging.DEBUG if request.path == "/health" else logging.INFO
        logger.log(level, "%s %r -> %d in %.0f ms", request.method, request.path, response.status_code, elapsed_ms)
        return response


def configure_logging(level: str) -> None:
    """Send log lines with their request id to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_request_id)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s request=%(request_id)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = current_request_id()
    return True
