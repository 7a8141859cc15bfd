"""Who may change from the page what serves: somebody who logged in, or sits at the machine; and only from the page itself."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flask import Request

from backend.auth import authorize_change
from backend.errors import BackendError, Unauthorized
from backend.settings import Settings


class FromElsewhere(BackendError):  # noqa: N818 - says what was found
    """A form that was not sent from this page."""

    status = 403
    code = "from_elsewhere"


def may_change(asked: Request, settings: Settings) -> bool:
    """Whether the page offers its buttons to whoever asks: as the route of versions does, and besides to a browser on this very machine."""
    try:
        authorize_change(asked, settings)
    except Unauthorized:
        return settings.basic_auth_user is None and _is_local(asked)
    return True


def check_form(asked: Request, settings: Settings) -> None:
    """Let a form pass that somebody who may sent from this page.

    A browser adds the log-in of this service to whatever any page makes it send here. What only browsers can say, and no page can forge, is
    where a request began: in ``Sec-Fetch-Site``, or, to addresses without TLS, in ``Origin`` alone.

    Raises:
        Unauthorized: nobody who may.
        FromElsewhere: another page has sent it.
    """
    if not may_change(asked, settings):
        authorize_change(asked, settings)
    site, origin = asked.headers.get("Sec-Fetch-Site"), asked.headers.get("Origin")
    is_own = site == "same-origin" if site is not None else origin is not None and urlsplit(origin).netloc == asked.host
    if not is_own:
        raise FromElsewhere(
            f"this form was sent from {origin or 'nowhere'} and not from this page at {asked.host}; open the page and press its button "
            "(a proxy in between must pass the header Host on), or use `wordmask versions rollback`"
        )


def _is_local(asked: Request) -> bool:
    """Nothing in between, and an address that no name of somebody else can stand for."""
    is_forwarded = "X-Forwarded-For" in asked.headers or "Forwarded" in asked.headers
    return not is_forwarded and _is_loopback(asked.remote_addr) and _is_loopback(urlsplit(f"//{asked.host}").hostname)


def _is_loopback(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False
