"""What can be wrong between a project and the ML backends that it is connected to: one pure function per question."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from backend.doctor import Check, Json
from backend.label_plan import LabelPlan

_UNCERTAINTY = "Uncertainty sampling"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a backend's address answered from here.

    Args:
        problem: why there was no good answer to ``/health``, empty when there was one.
        status: the JSON of ``/status``, which only this service has; ``None`` for other backends.
    """

    problem: str = ""
    status: Json | None = None


def check_backends(backends: Sequence[Json], probes: Sequence[Probe]) -> list[Check]:
    """Whether the project's predictions come from this service.

    Args:
        backends: as Label Studio lists them, the one that serves batch predictions first.
        probes: what each of them answered from here.
    """
    if not backends:
        remedy = "connect it in the project under Settings > Model, with interactive preannotations on"
        return [Check("backend", "fail", "no backend is connected to the project", remedy)]
    ours = [index for index, probe in enumerate(probes) if probe.status is not None]
    checks = []
    if not ours:
        remedy = "connect the address that `wordmask serve` prints, and start the service"
        checks.append(Check("backend", "fail", f"none of {_urls(backends)} answers as this service", remedy))
    elif 0 not in ours:
        message = f"batch predictions go to the first backend only, {backends[0]['url']}; this service is {backends[ours[0]]['url']}"
        checks.append(Check("backend", "warn", message, "remove the other backend, or connect this one first"))
    else:
        checks.append(Check("backend", "ok", f"{backends[0]['url']} is the project's first backend"))
    for index in ours or range(len(backends)):
        checks += [_check_state(backends[index]), _check_reach(backends[index], probes[index]), _check_interactive(backends[index])]
    return checks


def check_unconnected(projects: int) -> Check:
    """What it means that none of so many projects has a backend."""
    if not projects:
        return Check("backend", "warn", "Label Studio has no project that this token can see", "make one, or use the token of another user")
    remedy = "connect the address that `wordmask serve` prints in a project under Settings > Model; --project N looks at a certain project"
    return Check("backend", "warn", f"none of the {projects} projects looked at has one", remedy)


def _check_state(backend: Json) -> Check:
    state, url = backend["state"], backend["url"]
    error = str(backend.get("error_message") or "").strip()[:300]
    if state in ("CO", "PR", "TR"):
        return Check("backend state", "ok", f"Label Studio calls {url} {backend.get('readable_state') or state}")
    remedy = {
        "DI": f"start the service; if it runs, {url} must be reachable from where Label Studio runs (in a container, localhost is itself)",
        "ER": "correct what the message names, then open Settings > Model again",
    }.get(state, "open Settings > Model and look at the backend")
    name = {"DI": "disconnected", "ER": "in error"}.get(state, state)
    return Check("backend state", "fail", f"Label Studio calls {url} {name}" + (f": {error}" if error else ""), remedy)


def _check_reach(backend: Json, probe: Probe) -> Check:
    if not probe.problem:
        return Check("backend from here", "ok", f"{backend['url']}/health answers")
    message = f"{backend['url']}/health: {probe.problem}"
    if backend["state"] == "CO":
        return Check("backend from here", "warn", message, "fine if only Label Studio can reach it by that name, as between containers")
    return Check("backend from here", "fail", message, "start `wordmask serve`, or correct the address under Settings > Model")


def _check_interactive(backend: Json) -> Check:
    if backend.get("is_interactive"):
        return Check("interactive preannotations", "ok", "on")
    remedy = "edit the backend under Settings > Model and switch them on"
    return Check("interactive preannotations", "warn", f"off for {backend['url']}: typing and clicking send nothing", remedy)


def check_service(status: Json, project_id: int) -> list[Check]:
    """What the running service says about itself and about this project."""
    checks = []
    if status.get("error"):
        checks.append(Check("service", "fail", f"its model could not be loaded: {status['error']}", "correct it and restart the service"))
    elif not status.get("ready"):
        checks.append(Check("service", "warn", "its model is still loading", "wait a moment and ask again"))
    else:
        place = " in ".join(str(status[key]) for key in ("device", "precision") if status.get(key))
        checks.append(Check("service", "ok", f"serves {status.get('model_version')}" + (f" on {place}" if place else "")))
    failures = [item for item in status.get("recent_failures") or [] if str(item.get("project", "")).split(".")[0] == str(project_id)]
    for failure in failures[:3]:
        where = f"task {failure['task_id']}" if failure.get("task_id") is not None else "the project"
        checks.append(Check("recent failure", "warn", f"{where} at {failure.get('at')}: {failure.get('reason')}"))
    return checks


def check_label_lists(status: Json, plan: LabelPlan) -> list[Check]:
    """Whether the service can look for labels together where the labeling config insists on it.

    Args:
        status: of the running service; says nothing of it while the model loads.
        plan: of the project's labeling config.
    """
    named = [f"{control.tag} {control.name!r}" for control in plan.outputs if control.model == "sam-mi"]
    if not named or status.get("label_lists") is not False:
        return []
    message = f'{", ".join(named)}: model="sam-mi", but the model that serves takes no list of labels, so every task fails'
    return [Check("label lists", "fail", message, 'write model="ssp-sam" in the labeling config, or serve another profile')]


def check_webhooks(webhooks: Sequence[Json], backends: Sequence[Json], backend_url: str, wants_secret: bool, header: str) -> Check:
    """Whether annotations are told to the service, once.

    Args:
        webhooks: of the project.
        backends: of the project.
        backend_url: address of this service as Label Studio knows it.
        wants_secret: the service takes only events that carry its secret.
        header: in which the secret travels.
    """
    wanted = backend_url.rstrip("/") + "/webhook"
    ours = [hook for hook in webhooks if hook["url"].rstrip("/") == wanted]
    known = {backend["url"].rstrip("/") + "/webhook" for backend in backends}
    orphans = [hook["url"] for hook in webhooks if hook["url"].rstrip("/").endswith("/webhook") and hook["url"].rstrip("/") not in known]
    page = "under Settings > Webhooks"
    if not ours:
        return Check(
            "webhook",
            "warn",
            f"none to {wanted}: annotations are not told to the service",
            "`wordmask connect` adds it; Label Studio silently makes none to loopback and private addresses "
            "unless it runs with SSRF_PROTECTION_ENABLED=false",
        )
    if not any(hook.get("is_active", True) for hook in ours):
        return Check("webhook", "warn", f"the one to {wanted} is switched off", f"switch it on {page}")
    if wants_secret and not any(header.lower() in (name.lower() for name in hook.get("headers") or {}) for hook in ours):
        return Check(
            "webhook", "fail", f"the one to {wanted} has no header {header}, so the service refuses it", "`wordmask connect` adds it"
        )
    if len(ours) > 1:
        return Check(
            "webhook",
            "warn",
            f"{len(ours)} to {wanted}: every annotation is told several times",
            "`wordmask connect --prune` removes all but one",
        )
    if orphans:
        return Check(
            "webhook",
            "warn",
            f"left over from removed backends: {', '.join(orphans)}",
            "`wordmask connect --prune` removes them; each costs up to 1 s",
        )
    return Check("webhook", "ok", wanted)


def check_model_version(project: Json, backend: Json, stored_versions: Collection[str]) -> Check:
    """Whether predictions are shown, and whether they can be sampled by score."""
    chosen, current = project.get("model_version") or "", backend.get("model_version") or ""
    page = "under Settings > Annotation"
    if not project.get("show_collab_predictions", True):
        return Check(
            "model version", "warn", "predictions are not shown to annotators", f"switch on 'Use predictions to prelabel tasks' {page}"
        )
    if chosen == current and chosen:
        return Check("model version", "ok", f"annotators see {chosen}")
    if chosen in stored_versions and chosen != backend.get("title"):
        message = f"annotators see {chosen!r}, the backend serves {current!r}"
        return Check("model version", "warn", message, f"choose {current!r} or the backend {page} once its predictions are there")
    if project.get("sampling") == _UNCERTAINTY:
        return Check(
            "model version",
            "warn",
            f"uncertainty sampling picks at random: the project follows {chosen!r}, predictions are of {current!r}",
            f"after predicting, choose {current!r} as the version {page}, or give the backend that title",
        )
    return Check(
        "model version", "ok", f"annotators see what the backend {chosen!r} predicts ({current})" if chosen else f"backend serves {current}"
    )


def check_loopback_guard(backend_url: str, is_refused: bool) -> Check:
    """Whether Label Studio would let a backend at a loopback address be connected."""
    if not is_refused:
        return Check("loopback backends", "ok", f"Label Studio would connect {backend_url}")
    return Check(
        "loopback backends",
        "fail",
        f"Label Studio refuses backends at loopback and private addresses such as {backend_url}",
        "start Label Studio with ML_BLOCK_LOCAL_IP=false and, for webhooks, SSRF_PROTECTION_ENABLED=false; or serve on a public address",
    )


def is_loopback(url: str) -> bool:
    """Whether an address is one that only its own machine can reach."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _urls(backends: Sequence[Json]) -> str:
    return ", ".join(backend["url"] for backend in backends)
