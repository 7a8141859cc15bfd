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

    Label Studio sends Basic auth with everything but the webhooks of annotations, so ``/webhook`` may be called without; whether the event
    is taken is decided by :func:`authorize_event`, once it is known which one it is.
    """
    if settings.basic_auth_user is None or _has_basic_auth(request, settings):
        return
    if request.path == "/webhook":
        authorize_event(request, settings)
        return
    raise Unauthorized("this service wants Basic auth; enter user name and password at the backend's entry in Label Studio")


def authorize_event(request: Request, settings: Settings) -> None:
    """Let a webhook's event pass, or raise ``Unauthorized``: it needs the secret, where one is set, or Basic auth.

    Not asked for the Train button's event where there is no Basic auth: Label Studio sends that one as it calls backends, without the
    headers of webhooks. A stranger can cause one job for a project that way, as he can ask for predictions there.
    """
    secret = settings.webhook_secret
    if secret is None or _has_basic_auth(request, settings) or _equal(request.headers.get(WEBHOOK_HEADER), secret):
        return
    raise Unauthorized(f"/webhook wants the secret WORDMASK_WEBHOOK_SECRET in the header {WEBHOOK_HEADER}; `wordmask connect` sets it")


def authorize_change(request: Request, settings: Settings) -> None:
    """Let a request pass that changes what everybody gets, or raise ``Unauthorized``. Unlike a prediction, nobody may ask for it freely."""
    secret = settings.webhook_secret
    if _has_basic_auth(request, settings) or (secret is not None and _equal(request.headers.get(WEBHOOK_HEADER), secret)):
        return
    raise Unauthorized(
        f"this changes what serves: send Basic auth, or the secret WORDMASK_WEBHOOK_SECRET in the header {WEBHOOK_HEADER}; "
        "where neither is set, use the command line"
    )


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
