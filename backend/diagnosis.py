"""Gathers the facts that the doctor judges, on the way from Label Studio to a mask. What cannot be asked is left out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import requests

from backend import doctor, doctor_backends
from backend.auth import WEBHOOK_HEADER
from backend.diagnosis_machine import look_at_machine
from backend.doctor import Check
from backend.doctor_backends import Probe
from backend.errors import ImageUnavailable, LabelStudioError
from backend.images import ImageLoader
from backend.label_plan import LabelPlan
from backend.label_studio import LabelStudioClient, client_of
from backend.label_studio_errors import LabelStudioRefused
from backend.settings import Settings
from backend.tasks import image_refs
from models import Engine

_LOOKED_AT = 50
_PROJECTS_LOOKED_AT = 10
_CLOSED_PORT = "http://127.0.0.1:1"
_PROBE_SECONDS = 5


def diagnose(settings: Settings, project_id: int | None, load_engine: Callable[[], Engine] | None) -> Iterator[Check]:
    """Check everything from this machine to a project's first mask, in order; what depends on a failed check is not asked.

    Args:
        settings: of the service.
        project_id: project to check; ``None`` checks this machine, Label Studio, and the connections of its first projects.
        load_engine: loads the model; ``None`` leaves that out.
    """
    yield from look_at_machine(settings, load_engine)
    client = client_of(settings)
    yield (found := doctor.check_addresses(settings.label_studio_url, client is not None and client.token_kind is not None))
    if client is None or found.status == "fail":
        return
    try:
        yield Check("Label Studio", "ok", f"{client.url} runs version {client.get('/api/version').get('release', 'unknown')}")
        client.get("/api/current-user/whoami")
        yield doctor.check_token(client.token_kind, _optional(client, "/api/jwt/settings"))
        if project_id is not None:
            yield from _look_at_project(client, settings, project_id)
        else:
            yield from _look_at_connections(client, settings)
    except LabelStudioError as error:
        yield Check("token" if getattr(error, "http_status", 0) == 401 else "Label Studio", "fail", error.message)


def _look_at_connections(client: LabelStudioClient, settings: Settings) -> Iterator[Check]:
    """Backends and webhooks of the first projects: whether Label Studio reaches this service, whichever project matters."""
    ids = client.project_ids(_PROJECTS_LOOKED_AT)
    connected = [project_id for project_id in ids if client.ml_backends(project_id)]
    for project_id in connected:
        for check in _look_at_backends(client, settings, client.project(project_id)):
            yield dataclasses.replace(check, name=f"project {project_id}, {check.name}")
    if not connected:
        yield doctor_backends.check_unconnected(len(ids))
        if ids:
            yield from _look_at_loopback_guard(client, settings, ids[0])


def _look_at_project(client: LabelStudioClient, settings: Settings, project_id: int) -> Iterator[Check]:
    try:
        project = client.project(project_id)
    except LabelStudioRefused as error:
        if error.http_status not in (403, 404):
            raise
        remedy = "take the number from the address of the project's page; the token's user must be a member"
        yield Check("project", "fail", f"there is no project {project_id} that this token can see", remedy)
        return
    yield Check("project", "ok", f"{project_id}, {project.get('title')!r}")
    found, plan = doctor.check_config(project["label_config"])
    yield found
    if plan is not None:
        yield doctor.check_interaction(plan)
        yield from _look_at_tasks(client, settings, project, plan)
    yield from _look_at_backends(client, settings, project, plan)


def _look_at_tasks(client: LabelStudioClient, settings: Settings, project: dict[str, Any], plan: LabelPlan) -> Iterator[Check]:
    tasks = list(islice(client.tasks(project["id"], page_size=_LOOKED_AT), _LOOKED_AT))
    yield doctor.check_tasks(tasks, plan, project["task_number"])
    images = ImageLoader(settings, client)
    for task in tasks:
        try:
            refs = [ref for image in plan.images for ref in image_refs(task, image)]
        except ImageUnavailable:
            continue
        for ref in refs[:1]:
            yield _load_image(images, ref.uri, task["id"])
            return


def _load_image(images: ImageLoader, uri: str, task_id: int) -> Check:
    started = time.monotonic()
    try:
        height, width = images.load(uri, task_id=task_id).size_hw
    except ImageUnavailable as error:
        return Check("first image", "fail", f"task {task_id}: {error}")
    return Check("first image", "ok", f"task {task_id}: {width} x {height} pixels in {time.monotonic() - started:.2f} s")


def _look_at_backends(
    client: LabelStudioClient, settings: Settings, project: dict[str, Any], plan: LabelPlan | None = None
) -> Iterator[Check]:
    backends = client.ml_backends(project["id"])
    probes = [_probe(backend, settings) for backend in backends]
    yield from doctor_backends.check_backends(backends, probes)
    if not backends:
        yield from _look_at_loopback_guard(client, settings, project["id"])
        return
    ours = next((index for index, probe in enumerate(probes) if probe.status is not None), None)
    if ours is None:
        return
    status = probes[ours].status or {}
    yield from doctor_backends.check_service(status, project["id"])
    if plan is not None:
        yield from doctor_backends.check_label_lists(status, plan)
    secret = settings.webhook_secret is not None
    yield doctor_backends.check_webhooks(client.webhooks(project["id"]), backends, backends[ours]["url"], secret, WEBHOOK_HEADER)
    stored = _optional(client, f"/api/projects/{project['id']}/model-versions/") or {}
    yield doctor_backends.check_model_version(project, backends[ours], set(stored))


def _look_at_loopback_guard(client: LabelStudioClient, settings: Settings, project_id: int) -> Iterator[Check]:
    served = f"http://{settings.host}:{settings.port}"
    if doctor_backends.is_loopback(served):
        yield doctor_backends.check_loopback_guard(served, _refuses_loopback(client, project_id))


def _probe(backend: dict[str, Any], settings: Settings) -> Probe:
    """Ask a backend as Label Studio does. The password goes only where Label Studio itself sends that user's."""
    auth = None
    if settings.basic_auth_user and settings.basic_auth_pass and backend.get("basic_auth_user") == settings.basic_auth_user:
        auth = (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
    url = backend["url"].rstrip("/")
    try:
        health = requests.get(f"{url}/health", auth=auth, timeout=_PROBE_SECONDS)
        if health.status_code == 401:
            return Probe("wants Basic auth, and the backend's entry in Label Studio names another user than BASIC_AUTH_USER, or none")
        if not health.ok:
            return Probe(f"answers {health.status_code}")
        status = requests.get(f"{url}/status", auth=auth, timeout=_PROBE_SECONDS)
        body = status.json() if status.ok else None
    except requests.JSONDecodeError:
        body = None
    except requests.RequestException as error:
        return Probe(f"no answer ({type(error).__name__})")
    return Probe(status=body if isinstance(body, dict) and "recent_failures" in body else None)


def _refuses_loopback(client: LabelStudioClient, project_id: int) -> bool:
    """Ask Label Studio to connect a backend at a port where none can be: it refuses the address (403) or finds nobody there (400)."""
    try:
        client.post("/api/ml", {"project": project_id, "url": _CLOSED_PORT, "title": "wordmask doctor"})
    except LabelStudioRefused as error:
        return error.http_status == 403
    return False


def _optional(client: LabelStudioClient, path: str) -> Any:
    """An answer that older versions of Label Studio do not have."""
    try:
        return client.get(path)
    except LabelStudioRefused:
        return None
