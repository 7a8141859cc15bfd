"""Gathers the facts that the doctor judges, on the way from Label Studio to a mask. What cannot be asked is left out."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import requests

from backend import doctor, doctor_backends
from backend.auth import WEBHOOK_HEADER
from backend.doctor import Check
from backend.doctor_backends import Probe
from backend.errors import BackendError, ImageUnavailable, LabelStudioError
from backend.images import ImageLoader
from backend.label_plan import LabelPlan
from backend.label_studio import LabelStudioClient, client_of
from backend.label_studio_errors import LabelStudioRefused
from backend.settings import Settings
from backend.tasks import image_refs
from models import Engine

_PACKAGES = ("wordmask", "torch", "flask", "pillow", "label-studio-sdk")
_LOOKED_AT = 50
_CLOSED_PORT = "http://127.0.0.1:1"
_PROBE_SECONDS = 5


def diagnose(settings: Settings, project_id: int | None, load_engine: Callable[[], Engine] | None) -> Iterator[Check]:
    """Check everything from this machine to a project's first mask, in order; what depends on a failed check is not asked.

    Args:
        settings: of the service.
        project_id: project to check; ``None`` checks this machine and Label Studio alone.
        load_engine: loads the model; ``None`` leaves that out.
    """
    yield doctor.check_python(sys.version_info[:2], _package_versions())
    yield _look_at_data_folder(settings)
    if load_engine is not None:
        yield _load(load_engine, settings)
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
    except LabelStudioError as error:
        yield Check("token" if getattr(error, "http_status", 0) == 401 else "Label Studio", "fail", error.message)


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
    yield from _look_at_backends(client, settings, project)


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


def _look_at_backends(client: LabelStudioClient, settings: Settings, project: dict[str, Any]) -> Iterator[Check]:
    backends = client.ml_backends(project["id"])
    probes = [_probe(backend, settings) for backend in backends]
    yield from doctor_backends.check_backends(backends, probes)
    if not backends:
        served = f"http://{settings.host}:{settings.port}"
        if doctor_backends.is_loopback(served):
            yield doctor_backends.check_loopback_guard(served, _refuses_loopback(client, project["id"]))
        return
    ours = next((index for index, probe in enumerate(probes) if probe.status is not None), None)
    if ours is None:
        return
    status = probes[ours].status or {}
    yield from doctor_backends.check_service(status, project["id"])
    secret = settings.webhook_secret is not None
    yield doctor_backends.check_webhooks(client.webhooks(project["id"]), backends, backends[ours]["url"], secret, WEBHOOK_HEADER)
    stored = _optional(client, f"/api/projects/{project['id']}/model-versions/") or {}
    yield doctor_backends.check_model_version(project, backends[ours], set(stored))


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


def _look_at_data_folder(settings: Settings) -> Check:
    folder, problem, free = settings.data_dir, "", 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        problem = error.strerror or str(error)
    return doctor.check_data_folder(str(folder), free, problem)


def _load(load_engine: Callable[[], Engine], settings: Settings) -> Check:
    started = time.monotonic()
    try:
        engine = load_engine()
    except BackendError as error:
        return Check("model", "fail", error.message, "correct WORDMASK_PROFILE or WORDMASK_DEVICE, or install the package again")
    return Check("model", "ok", f"{settings.profile}: {engine.version}, loaded in {time.monotonic() - started:.1f} s")


def _optional(client: LabelStudioClient, path: str) -> Any:
    """An answer that older versions of Label Studio do not have."""
    try:
        return client.get(path)
    except LabelStudioRefused:
        return None


def _package_versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
