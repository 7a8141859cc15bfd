"""Download of one image file: which addresses are asked, with which token, and what each refusal means.

Every redirect is checked like the first address, and the token of Label Studio goes to no other host.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

from backend.errors import ImageUnavailable, LabelStudioError
from backend.host_rules import HostRules
from backend.http_get import Deadline, http_get, reason_of
from backend.label_studio import LabelStudioClient

MAX_REDIRECTS = 3
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said about the version of a file, to ask later whether it changed."""

    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """Headers of a conditional request; empty when the server named nothing."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as a server sent it; ``body`` is ``None`` when the version we hold is still the current one."""

    body: bytes | None
    validators: Validators


class Fetcher:
    """Fetches files under fixed limits. Safe to share between threads.

    Args:
        rules: which hosts may be asked.
        label_studio: whose files are fetched with its token; no other host ever gets it.
        seconds: longest time for one file, redirects included (looking up a name is left to the system's own limit).
        max_bytes: largest file.
    """

    def __init__(self, rules: HostRules, label_studio: LabelStudioClient | None, *, seconds: float, max_bytes: int) -> None:
        self._rules = rules
        self._label_studio = label_studio
        self._seconds = seconds
        self._max_bytes = max_bytes

    def fetch(self, url: str, known: Validators | None = None) -> Fetched:
        """GET ``url``, following at most three redirects, each checked like the first address.

        Args:
            url: http or https address.
            known: validators of the version that the caller holds.

        Raises:
            ImageUnavailable: it cannot be had, is too large or took too long. The message holds no query, token or password.
        """
        with Deadline(self._seconds) as deadline:
            for _ in range(MAX_REDIRECTS + 1):
                answer = self._fetch_authorized(url, known, deadline)
                if isinstance(answer, Fetched):
                    return answer
                url = _join(url, answer)
        raise ImageUnavailable(f"{display_url(url)} is the end of more than {MAX_REDIRECTS} redirects; use the final address")

    def _fetch_authorized(self, url: str, known: Validators | None, deadline: Deadline) -> Fetched | str:
        """One hop: the file, or the address that it redirects to. A refused access token is renewed once."""
        client = self._label_studio
        addresses = self._rules.addresses_of(url)
        headers = self._token_headers(url)
        try:
            try:
                return self._fetch_hop(url, addresses, known, headers, deadline)
            except _HttpStatusError as error:
                if error.status != 401 or client is None or not client.renew_access(headers):
                    raise
                return self._fetch_hop(url, addresses, known, self._token_headers(url), deadline)
        except _HttpStatusError as error:
            raise ImageUnavailable(self._explain(error.status, url)) from error

    def _token_headers(self, url: str) -> dict[str, str]:
        try:
            return self._label_studio.file_headers(url) if self._label_studio else {}
        except LabelStudioError as error:
            raise ImageUnavailable(f"{display_url(url)} needs a token of Label Studio: {error}") from error

    def _fetch_hop(
        self, url: str, addresses: Sequence[str], known: Validators | None, headers: dict[str, str], deadline: Deadline
    ) -> Fetched | str:
        conditions = known.headers() if known else {}
        try:
            with http_get(url, addresses, {**headers, **conditions}, deadline) as response:
                return self._read(response, url, is_conditional=bool(conditions))
        except (OSError, http.client.HTTPException) as error:
            if deadline.is_over:
                raise ImageUnavailable(
                    f"{display_url(url)} did not arrive within {self._seconds:g} s; check the host, or raise WORDMASK_IMAGE_TIMEOUT_SECONDS"
                ) from error
            raise ImageUnavailable(f"{display_url(url)} cannot be fetched: {reason_of(error)}") from error

    def _read(self, response: http.client.HTTPResponse, url: str, *, is_conditional: bool) -> Fetched | str:
        validators = Validators(_plain(response.headers.get("ETag")), _plain(response.headers.get("Last-Modified")))
        location = response.headers.get("Location")
        if response.status == 304 and is_conditional:
            return Fetched(None, validators)
        if response.status in (301, 302, 303, 307, 308) and location:
            return location
        if response.status != 200:
            raise _HttpStatusError(response.status)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise ImageUnavailable(f"{display_url(url)} is sent with Content-Encoding {encoding[:20]!r}; serve the image file as it is")
        return Fetched(self._read_body(response, url), validators)

    def _read_body(self, response: http.client.HTTPResponse, url: str) -> bytes:
        body = bytearray()
        is_too_large = (response.length or 0) > self._max_bytes
        while not is_too_large and (chunk := response.read(_CHUNK)):
            body += chunk
            is_too_large = len(body) > self._max_bytes
        if is_too_large:
            raise ImageUnavailable(
                f"{display_url(url)} is larger than {self._max_bytes / 2**20:g} MiB; "
                "make the image smaller, or raise WORDMASK_IMAGE_MAX_BYTES"
            )
        if response.length:  # bytes that were announced and did not come
            raise http.client.IncompleteRead(b"", response.length)
        return bytes(body)

    def _explain(self, status: int, url: str) -> str:
        shown = display_url(url)
        client = self._label_studio
        if client is None or not client.is_own(url):
            hint = {401: "it wants a log-in", 403: "it refuses access; has a signed address expired?", 404: "nothing is there"}
            return (
                f"{shown} answered {status}: {hint.get(status, 'not an image')}; open the address in a browser, or import the file itself"
            )
        if status == 401:
            return f"{shown} answered 401: {client.unauthorized_hint()}"
        if status == 404 and "/local-files/" in url:
            return (
                f"{shown} answered 404: the file {_local_file(url)!r} is missing, "
                "or no Local Files storage of a project covers its folder; "
                "add one in the project's settings under Cloud Storage (its path must be the folder itself or above)"
            )
        if status == 404 and "/tasks/" in url:
            return f"{shown} answered 404: no storage of the task's project holds this address; add the cloud storage to the project"
        return f"{shown} answered {status}: Label Studio does not have this file; import it again"


def display_url(url: str) -> str:
    """An address as it may be shown and logged: without user, query (it may hold a signature) and excess length."""
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return shown if len(shown) <= 200 else shown[:197] + "..."


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise ImageUnavailable(f"{display_url(url)} redirects to a malformed address; use the final address") from error


def _local_file(url: str) -> str:
    return "".join(parse_qs(urlsplit(url).query).get("d", []))[:200]


def _plain(value: str | None) -> str | None:
    """A header that can be kept and sent back: one short line of ASCII."""
    return value if value and value.isascii() and value.isprintable() and len(value) <= 200 else None


class _HttpStatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
