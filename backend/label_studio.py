"""Label Studio's HTTP API, as far as the backend needs it: authentication, JSON in and out, and the few lists it reads.

``requests`` rather than ``label_studio_sdk``: these are a dozen plain calls whose status and headers we must see. A refused token is
explained by its kind, a redirect is named instead of followed, and no cookie is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from backend.errors import LabelStudioError
from backend.label_studio_auth import TokenKind, origin_of, token_kind, unauthorized_hint
from backend.label_studio_errors import LabelStudioRefused, LabelStudioUnreachable, with_retries
from backend.settings import Settings

ACCESS_TOKEN_SECONDS = 240.0
"""How long an access token is used; Label Studio lets it live for 300 s."""

_FILE_PATHS = ("/data/", "/storage-data/", "/tasks/")


class LabelStudioClient:
    """One Label Studio and one user of it. Safe to share between threads.

    Args:
        url: address of Label Studio, with its path prefix if it has one.
        api_key: personal access token or legacy token; without one, only public calls succeed.
        timeout: seconds for connecting, and again between two reads.
    """

    def __init__(self, url: str, api_key: str | None, *, timeout: float = 30.0) -> None:
        parts = urlsplit(url.rstrip("/"))
        self._root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # a password here would end up in messages
        self._prefix = parts.path
        self.url = self._root + self._prefix
        self.timeout = timeout
        self._api_key = (api_key or "").strip()
        self._origin = origin_of(self.url)
        self._access_token = ""
        self._access_until = 0.0
        self._lock = threading.Lock()
        self._local = threading.local()

    @property
    def token_kind(self) -> TokenKind | None:
        """What sort of token was configured; ``None`` without one."""
        return token_kind(self._api_key)

    # --- authentication

    def is_own(self, url: str) -> bool:
        """Whether ``url`` has the scheme, host and port of this Label Studio."""
        return origin_of(url) == self._origin

    def absolute(self, path: str) -> str:
        """Join a path that Label Studio wrote into a task, such as ``/data/upload/1/a.png``, to its address."""
        return self._root + path if self._prefix and path.startswith(self._prefix + "/") else self.url + path

    def file_headers(self, url: str) -> dict[str, str]:
        """Headers for fetching a file: the token for addresses of this Label Studio that serve files, nothing for any other.

        Whoever writes the data of a task names the address, and must not be able to make our token read anything else.

        Raises:
            LabelStudioError: the personal access token could not be exchanged.
        """
        path = unquote(urlsplit(url).path).removeprefix(self._prefix)
        serves_files = path.startswith(_FILE_PATHS) and ".." not in path.split("/")
        return self.auth_headers() if serves_files and self.is_own(url) else {}

    def auth_headers(self) -> dict[str, str]:
        """The ``Authorization`` header of this user, empty without a token."""
        match self.token_kind:
            case None:
                return {}
            case "legacy":
                return {"Authorization": f"Token {self._api_key}"}
            case "access":
                return {"Authorization": f"Bearer {self._api_key}"}
            case "personal":
                return {"Authorization": f"Bearer {self._fresh_access_token()}"}

    def renew_access(self, headers: Mapping[str, str]) -> bool:
        """Forget the access token that was refused with ``headers``; true when asking again may help."""
        with self._lock:
            if self.token_kind != "personal" or not headers.get("Authorization"):  # noqa: S105 - a kind, not a password
                return False
            if headers["Authorization"] == f"Bearer {self._access_token}":
                self._access_token = ""
            return True

    def unauthorized_hint(self) -> str:
        """Why Label Studio may have answered 401 to this client, and what to do."""
        return unauthorized_hint(self.token_kind)

    def _fresh_access_token(self) -> str:
        with self._lock:  # one exchange serves all threads that wait for it
            if not self._access_token or time.monotonic() >= self._access_until:
                response = self._send("POST", "/api/token/refresh/", json={"refresh": self._api_key})
                if response.status_code in (400, 401, 403):
                    raise LabelStudioRefused(f"{self.url} did not exchange the token: {self.unauthorized_hint()}", 401)
                access = _mapping(_json_of(response)).get("access")
                if not isinstance(access, str):
                    raise LabelStudioError(
                        f"{self.url}/api/token/refresh/ answered without an access token; is it Label Studio 1.17 or later?"
                    )
                self._access_token, self._access_until = access, time.monotonic() + ACCESS_TOKEN_SECONDS
            return self._access_token

    # --- calls

    def get(self, path: str, **params: Any) -> Any:
        """GET ``path`` and return its JSON."""
        return self.request("GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """POST JSON to ``path`` and return the JSON of the answer."""
        return self.request("POST", path, json=body, params=params)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH ``path`` with JSON and return the JSON of the answer."""
        return self.request("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """DELETE ``path``."""
        return self.request("DELETE", path)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send one authenticated request; a refused access token is renewed once.

        Args:
            method: HTTP method.
            path: path under the address of Label Studio, starting with ``/``.
            options: ``params``, ``json``, ``files``, ``timeout`` as ``requests`` takes them.

        Returns:
            The decoded JSON, ``None`` for an empty answer.

        Raises:
            LabelStudioRefused: the answer is not a success.
            LabelStudioError: there was no answer, or none that can be read.
        """
        headers = self.auth_headers()
        response = self._send(method, path, headers=headers, **options)
        if response.status_code == 401 and self.renew_access(headers):
            response = self._send(method, path, headers=self.auth_headers(), **options)
        if 300 <= response.status_code < 400:
            target = response.headers.get("Location", "elsewhere").partition("?")[0]
            raise LabelStudioError(f"{self.url}{path} redirects to {target}; set LABEL_STUDIO_URL to the final address")
        if response.status_code >= 400:
            raise self._refusal(method, path, response)
        return _json_of(response) if response.content else None

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", self.timeout)
        try:
            return self._session().request(method, self.url + path, allow_redirects=False, **options)
        except requests.RequestException as error:
            raise LabelStudioUnreachable(
                f"no answer from Label Studio at {self.url} ({type(error).__name__}); "
                "check that it runs and that LABEL_STUDIO_URL is its address"
            ) from error

    def _session(self) -> requests.Session:
        """One session per thread, as ``requests`` does not promise that threads may share one."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.auth = _leave_headers_alone
            # Label Studio opens a browser session even for a token; kept, it would bring its CSRF checks along.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def _refusal(self, method: str, path: str, response: requests.Response) -> LabelStudioRefused:
        status = response.status_code
        if status == 401:
            return LabelStudioRefused(f"{self.url} answered 401: {self.unauthorized_hint()}", status)
        try:
            body = response.json()
            detail = body.get("validation_errors") or body.get("detail") if isinstance(body, dict) else body
        except ValueError:
            detail = "no JSON; is LABEL_STUDIO_URL the address of Label Studio?"
        return LabelStudioRefused(f"Label Studio answered {status} to {method} {path}: {str(detail)[:300]}", status)

    # --- what Label Studio holds

    def project(self, project_id: int) -> dict[str, Any]:
        """One project with its ``label_config``."""
        return _mapping(self.get(f"/api/projects/{project_id}"))

    def project_ids(self, most: int) -> list[int]:
        """Numbers of the first ``most`` projects that the user can see."""
        found = self.get("/api/projects", page_size=most)
        return [project["id"] for project in (found["results"] if isinstance(found, dict) else found)][:most]

    def tasks(self, project_id: int, *, page_size: int = 100, pauses: Sequence[float] = ()) -> Iterator[dict[str, Any]]:
        """Every task of a project, page by page: ``id``, ``data`` and ``predictions_model_versions`` (separated by commas).

        Annotations and regions are left out: with brush masks they make each task megabytes large. A page that fails temporarily is asked
        for again after each of ``pauses``.
        """
        fields = {"fields": "all", "include": "id,data,predictions_model_versions"}
        seen, page = 0, 1
        while True:
            query = {"project": project_id, "page": page, "page_size": page_size, **fields}
            try:
                found = with_retries(partial(self.get, "/api/tasks", **query), pauses)
            except LabelStudioRefused as error:
                if error.http_status == 404 and page > 1:  # tasks were deleted meanwhile: this page is gone
                    return
                raise
            yield from found["tasks"]
            seen, page = seen + len(found["tasks"]), page + 1
            if not found["tasks"] or seen >= found["total"]:
                return

    def predictions(self, task_id: int) -> list[dict[str, Any]]:
        """All predictions of a task."""
        return list(self.get("/api/predictions/", task=task_id))

    def create_prediction(self, task_id: int, result: list[dict[str, Any]], *, score: float, model_version: str) -> dict[str, Any]:
        """Store one prediction of a task."""
        body = {"task": task_id, "result": result, "score": score, "model_version": model_version}
        return _mapping(self.post("/api/predictions/", body))

    def delete_prediction(self, prediction_id: int) -> None:
        """Remove one prediction."""
        self.delete(f"/api/predictions/{prediction_id}/")

    def ml_backends(self, project_id: int) -> list[dict[str, Any]]:
        """Backends of a project; the first serves batch predictions. Takes seconds: Label Studio asks each for its health."""
        return list(self.get("/api/ml", project=project_id))

    def webhooks(self, project_id: int) -> list[dict[str, Any]]:
        """Webhooks of a project."""
        return list(self.get("/api/webhooks/", project=project_id))


def client_of(settings: Settings) -> LabelStudioClient | None:
    """The client that the settings describe; ``None`` where no address is set."""
    key = settings.label_studio_api_key.get_secret_value() if settings.label_studio_api_key else None
    return LabelStudioClient(settings.label_studio_url, key) if settings.label_studio_url else None


def _leave_headers_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Passed as ``auth``: without one, ``requests`` lets an entry of ``~/.netrc`` replace our Authorization header."""
    return request


def _json_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise LabelStudioError(
            f"{response.url.partition('?')[0]} answered {response.status_code} without JSON; "
            "is LABEL_STUDIO_URL the address of Label Studio?"
        ) from error


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LabelStudioError(f"Label Studio answered with {type(value).__name__} where an object was expected")
    return value
