"""The HTTP routes of versions: what a project has, and a way back to an older one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from backend.auth import authorize_change
from backend.bodies import read_json_object
from backend.errors import BadRequest
from backend.settings import Settings
from backend.versions.line import Version
from backend.versions.of_project import line_of_project


def version_routes(settings: Settings) -> Blueprint:
    """Routes for those who run the service."""
    routes = Blueprint("versions", __name__)

    @routes.get("/projects/<int:project>/versions")
    def versions(project: int) -> dict[str, Any]:
        """A project's versions, oldest first, with their scores; ``serving`` is null where the base weights serve."""
        line = line_of_project(settings, project)
        serving = line.serving()
        return {"serving": serving.name if serving else None, "versions": [told(version) for version in line.versions()]}

    @routes.post("/projects/<int:project>/versions/rollback")
    def rollback(project: int) -> dict[str, Any]:
        """Let an older version serve: ``{"to": NAME}``, ``{"to": "base"}``, or ``{}`` for the one before.

        It asks for Basic auth, or for the secret of webhooks where no Basic auth is set; a service with neither is rolled back by command.
        """
        authorize_change(request, settings)
        to = read_json_object(request).get("to")
        if not isinstance(to, str | None):
            raise BadRequest("'to' must be the name of a version, 'base', or absent for the version before")
        serving = line_of_project(settings, project).roll_back(to)
        return {"serving": serving.name if serving else None}

    return routes


def told(version: Version) -> dict[str, Any]:
    """A version as JSON, for people and programs."""
    manifest = version.manifest.to_json()
    return {"number": version.number, **{name: value for name, value in manifest.items() if name not in ("format", "engine")}}
