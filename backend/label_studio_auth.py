"""The kinds of token that Label Studio hands out, told apart, and what to say when one is refused. Pure: nothing is sent here."""

from __future__ import annotations

import base64
import json
from typing import Literal
from urllib.parse import urlsplit

TokenKind = Literal["legacy", "personal", "access"]
"""``legacy``: 40 characters, sent as is. ``personal``: a refresh JWT, good only for getting ``access`` ones, which live 300 s."""

_TOKEN_PAGE = "Account & Settings > Access Token"  # noqa: S105 - the name of a page


def token_kind(token: str) -> TokenKind | None:
    """Tell the kinds apart: JWTs say what they are, everything else is a legacy token; ``None`` for an empty one."""
    if not token:
        return None
    parts = token.split(".")
    if len(parts) != 3:
        return "legacy"
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return "legacy"
    return "access" if isinstance(claims, dict) and claims.get("token_type") == "access" else "personal"


def unauthorized_hint(kind: TokenKind | None) -> str:
    """Why Label Studio may answer 401 to this kind of token, and what to do."""
    match kind:
        case None:
            return f"no token is configured; create one under {_TOKEN_PAGE} and set LABEL_STUDIO_API_KEY"
        case "legacy":
            return (
                "the legacy token was refused: it is wrong, or legacy tokens are switched off for the organization "
                f"(the default); create a personal access token under {_TOKEN_PAGE} and set LABEL_STUDIO_API_KEY to it"
            )
        case "personal":
            return (
                "the personal access token was refused: it was revoked, has expired or belongs to another server; "
                f"create a new one under {_TOKEN_PAGE} and set LABEL_STUDIO_API_KEY to it"
            )
        case "access":
            return (
                "LABEL_STUDIO_API_KEY holds an access token, which lives five minutes only; "
                f"create a personal access token under {_TOKEN_PAGE} and use that"
            )


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address, to compare two by. Default ports are filled in; an invalid one is ``None``."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    try:
        port = parts.port or {"http": 80, "https": 443}.get(scheme)
    except ValueError:
        port = None
    return scheme, parts.hostname or "", port
