"""Who may call: Basic auth as Label Studio sends it, and a shared secret for its webhooks, which carry no Basic auth."""

from __future__ import annotations

import hmac

from flask import Request
from pydantic import SecretStr

from backend.errors import SettingsError, Unauthorized
from backend.settings import Settings

WEBHOOK_HEADER = "X-Wordmask-Secret"


def check_auth_settings(settings: Settings) -> None:
    """Raise ``SettingsError`` when only one half of the Basic auth pair is set, which would protect nothing."""
    if (settings.basic_auth_user is None) != (settings.basic_auth_pass is None):
        raise SettingsError("BASIC_AUTH_USER and BASIC_AUTH_PASS belong together; set both, or neither for a service without login")


def authorize(request: Request, settings: Settings) -> None:
    """Let a request pass, or raise ``Unauthorized``.

    Label Studio sends Basic auth with everything but the webhooks of annotations. ``/webhook`` therefore accepts either the Basic
    credentials or the webhook secret; where no secret is set it is open, and an event from a stranger adds a line to a journal, no more.
    """
    if _has_basic_auth(request, settings):
        return
    if request.path == "/webhook":
        if settings.webhook_secret is None or _equal(request.headers.get(WEBHOOK_HEADER), settings.webhook_secret):
            return
        raise Unauthorized(f"/webhook wants the secret WORDMASK_WEBHOOK_SECRET in the header {WEBHOOK_HEADER}")
    if settings.basic_auth_user is not None:
        raise Unauthorized("this service wants Basic auth; enter user name and password at the backend's entry in Label Studio")


def _has_basic_auth(request: Request, settings: Settings) -> bool:
    given = request.authorization
    if settings.basic_auth_user is None or settings.basic_auth_pass is None or given is None or given.type != "basic":
        return False
    user_is_right = _equal(given.username, SecretStr(settings.basic_auth_user))
    password_is_right = _equal(given.password, settings.basic_auth_pass)
    return user_is_right and password_is_right


def _equal(given: str | None, expected: SecretStr) -> bool:
    """Compare in a time that tells nothing about where the two differ."""
    return hmac.compare_digest((given or "").encode(errors="replace"), expected.get_secret_value().encode())
