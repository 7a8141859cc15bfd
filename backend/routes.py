"""The HTTP routes. Each handler reads, calls one function and answers; nothing here catches an error."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from backend.auth import authorize_event
from backend.bodies import parse_predict_request, project_of, read_json_object
from backend.events import START_TRAINING, parse_event
from backend.label_config import parse_label_config
from backend.service import Service


def label_studio_routes(service: Service) -> Blueprint:
    """The routes that Label Studio calls."""
    routes = Blueprint("label_studio", __name__)

    @routes.get("/health")
    def health() -> dict[str, Any]:
        """The service is alive. 200 even while the model loads: Label Studio takes anything else, or 1 s of silence, for "disconnected"
        and would refuse to add the backend. Whether it can predict is told by ``ready``, and by ``/ready``."""
        engine = service.engine
        body = {"status": "UP", "ready": engine.is_ready, "profile": engine.profile, "model_version": engine.version, **engine.placement}
        return body if engine.failure is None else {**body, "error": engine.failure}

    @routes.post("/setup")
    def setup() -> dict[str, Any]:
        """Name the model's version. Label Studio calls this after every health check, so nothing is loaded or fetched here.

        A model that could not be loaded is told as an error: Label Studio shows its text to whoever adds the backend.
        ``hostname`` and ``access_token`` are not used: any caller could send them, and we only ever talk to the configured Label Studio.
        """
        body = read_json_object(request)
        if service.engine.failure is not None:
            service.engine.wait(0)
        return {"model_version": service.version_for(project_of(body))}

    @routes.post("/predict")
    def predict() -> dict[str, Any]:
        """Predictions for a batch of tasks, or for one gesture of an annotator."""
        wanted = parse_predict_request(read_json_object(request))
        plan = parse_label_config(wanted.label_config)
        if wanted.gestures is None:
            return {"results": service.predict_batch(wanted.tasks, plan, wanted.project)}
        return {"results": [service.answer(wanted.tasks[0], wanted.gestures, plan, wanted.project)]}

    @routes.post("/webhook")
    def webhook() -> dict[str, Any]:
        """Keep what happened and answer at once: Label Studio waits 1 s, once, and an annotator's Submit waits with it.

        ``START_TRAINING`` is answered with its job, of which Label Studio makes an entry.
        """
        event = parse_event(read_json_object(request))
        if event.action != START_TRAINING:
            authorize_event(request, service.settings)
        return service.learning.take(event)

    @routes.get("/versions")
    def versions() -> dict[str, Any]:
        """The versions that can serve: of the weights, and of every project that has its own."""
        return {"versions": service.versions() if service.engine.is_ready else []}

    return routes


def operator_routes(service: Service) -> Blueprint:
    """The routes for those who run the service."""
    routes = Blueprint("operator", __name__)

    @routes.get("/ready")
    def ready() -> dict[str, Any]:
        """200 once predictions can be made, 503 before: for containers and load balancers."""
        service.engine.wait(0)
        return {"ready": True, "model_version": service.engine.version}

    @routes.get("/status")
    def status() -> dict[str, Any]:
        """What went wrong lately, for people and for ``wordmask doctor``: Label Studio itself shows none of it."""
        return {
            "ready": service.engine.is_ready,
            "profile": service.engine.profile,
            "model_version": service.engine.version,
            **service.engine.placement,
            "label_lists": service.engine.takes_label_lists,
            "error": service.engine.failure,
            "recent_failures": service.failures.as_json(),
        }

    @routes.get("/events")
    def events() -> dict[str, Any]:
        """The newest events, newest first, each with what came of it; without an outcome it waits for the trainer."""
        return {"events": [stored.to_json() for stored in service.learning.events.recent()]}

    @routes.get("/jobs")
    def jobs() -> dict[str, Any]:
        """The newest jobs, newest first."""
        return {"jobs": [job.to_json() for job in service.learning.queue.jobs()]}

    @routes.get("/jobs/<job_id>")
    def job(job_id: str) -> dict[str, Any]:
        """One job, as ``/webhook`` named it."""
        return service.learning.queue.find(job_id).to_json()

    return routes
