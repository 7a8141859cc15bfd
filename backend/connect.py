"""Sets a project of Label Studio up for this service through its API: backend, webhook with its secret, sampling. Safe to repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backend.auth import WEBHOOK_HEADER
from backend.errors import LabelStudioError
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import LabelStudioRefused
from backend.settings import Settings

UNCERTAINTY = "Uncertainty sampling"
TITLE = "Wordmask"

Outcome = Literal["done", "was so", "offered"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing about the project, and whether it was changed, was so already, or could be changed on request."""

    outcome: Outcome
    what: str


@dataclass(frozen=True, slots=True)
class Connection:
    """What a project is to be set up with.

    Args:
        client: Label Studio.
        project_id: the project.
        url: address of this service as Label Studio reaches it.
        settings: Basic auth and webhook secret of the service.
        by_doubt: let Label Studio give out the tasks with the lowest score first.
        prune: remove webhooks that nobody listens to any more.
    """

    client: LabelStudioClient
    project_id: int
    url: str
    settings: Settings
    by_doubt: bool = True
    prune: bool = False

    def make(self) -> Iterator[Step]:
        """Do one step after the other.

        Raises:
            LabelStudioError: Label Studio refuses a step; those before it stay done.
        """
        project = self.client.project(self.project_id)
        steps, backend = self._connect_backend()
        yield from steps
        yield from self._set_webhook()
        if self.by_doubt:
            yield self._sample_by_doubt(project, backend)
        yield from self._look_for_leftovers()

    def _connect_backend(self) -> tuple[list[Step], dict[str, Any]]:
        wanted: dict[str, Any] = {"is_interactive": True}
        if self.settings.basic_auth_user and self.settings.basic_auth_pass:
            wanted |= {"auth_method": "BASIC_AUTH", "basic_auth_user": self.settings.basic_auth_user}
        found = next((one for one in self.client.ml_backends(self.project_id) if _same(one["url"], self.url)), None)
        if found is not None and all(found.get(name) == value for name, value in wanted.items()):
            return [Step("was so", f"backend {self.url} is connected, interactive preannotations are on")], found
        if self.settings.basic_auth_pass and "basic_auth_user" in wanted:
            wanted["basic_auth_pass"] = self.settings.basic_auth_pass.get_secret_value()
        body = {"project": self.project_id, "url": found["url"] if found else self.url, **wanted}  # a PATCH without the url fails
        try:
            if found is None:
                made = self.client.post("/api/ml", {"title": TITLE, **body})
                return [Step("done", f"connected backend {self.url} with interactive preannotations")], made
            changed = self.client.patch(f"/api/ml/{found['id']}", body)
            return [Step("done", f"backend {self.url}: interactive preannotations and login set")], changed
        except LabelStudioRefused as error:
            raise _explained(error, self.url) from error

    def _set_webhook(self) -> Iterator[Step]:
        url, secret = self._webhook_url(), self.settings.webhook_secret
        wanted: dict[str, Any] = {"is_active": True, "send_payload": True, "send_for_all_actions": True}
        header = {WEBHOOK_HEADER: secret.get_secret_value()} if secret else {}
        ours = [hook for hook in self.client.webhooks(self.project_id) if _same(hook["url"], url)]
        if not ours:
            body = {"project": self.project_id, "url": url, "headers": header, **wanted}
            try:
                self.client.post("/api/webhooks/", body, project=self.project_id)
            except LabelStudioRefused as error:
                raise _explained(error, url) from error
            yield Step("done", f"webhook {url} added{' with its secret' if secret else ''}")
        else:
            headers = ours[0].get("headers") or {}
            is_right = all(ours[0].get(name) == value for name, value in wanted.items()) and headers | header == headers
            if not is_right:
                self.client.patch(f"/api/webhooks/{ours[0]['id']}/", {**wanted, "headers": headers | header})
            yield Step("was so" if is_right else "done", f"webhook {url} tells everything{', with its secret' if secret else ''}")
        if not secret:
            yield Step("offered", "no secret guards /webhook: set WORDMASK_WEBHOOK_SECRET for the service and here, then run this again")
        yield from self._remove(ours[1:], "tells every event once more")

    def _sample_by_doubt(self, project: dict[str, Any], backend: dict[str, Any]) -> Step:
        """Label Studio looks for scores under the project's version, which is the backend's title: the title must be the version."""
        version = str(backend.get("model_version") or "")
        if not version:
            raise LabelStudioError(
                f"backend {self.url} told Label Studio no version; look at it under Settings > Model, then run this again"
            )
        is_right = (project.get("sampling"), project.get("model_version"), backend.get("title")) == (UNCERTAINTY, version, version)
        if not is_right:
            body = {"project": self.project_id, "url": backend["url"], "title": version}
            self.client.patch(f"/api/ml/{backend['id']}", body)
            self.client.patch(f"/api/projects/{self.project_id}", {"sampling": UNCERTAINTY, "model_version": version})
        return Step("was so" if is_right else "done", f"tasks with the lowest prediction score of {version} come first")

    def _look_for_leftovers(self) -> Iterator[Step]:
        """Label Studio keeps the webhook of a backend that was removed; each costs annotators up to a second."""
        known = [one["url"].rstrip("/") + "/webhook" for one in self.client.ml_backends(self.project_id)]
        hooks = self.client.webhooks(self.project_id)
        of_backends = [hook for hook in hooks if hook["url"].rstrip("/").endswith("/webhook")]
        left = [hook for hook in of_backends if not any(_same(hook["url"], url) for url in known)]
        yield from self._remove(left, "is left over from a backend that was removed")

    def _remove(self, hooks: Sequence[dict[str, Any]], why: str) -> Iterator[Step]:
        for hook in hooks:
            if self.prune:
                self.client.delete(f"/api/webhooks/{hook['id']}/")
            told = f"webhook {hook['id']} to {hook['url']} {why}"
            yield Step("done", f"{told}: removed") if self.prune else Step("offered", f"{told}: --prune removes it")

    def _webhook_url(self) -> str:
        return self.url.rstrip("/") + "/webhook"


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _explained(error: LabelStudioRefused, url: str) -> LabelStudioError:
    """What stands behind Label Studio's two usual refusals."""
    if error.http_status == 403 or "reserved" in error.message:
        return LabelStudioError(
            f"Label Studio refuses {url}, as it is at a loopback or private address; start Label Studio with ML_BLOCK_LOCAL_IP=false and "
            "SSRF_PROTECTION_ENABLED=false, or give a public address with --url"
        )
    return LabelStudioError(f"{error.message}; the service must run and be reachable at {url} from where Label Studio runs (--url)")
