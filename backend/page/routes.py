"""HTTP of the page: the page itself, its pictures, and the one thing that can be changed there, which version serves."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, make_response, redirect, render_template, request, send_from_directory, url_for
from werkzeug.wrappers import Response as AnyResponse

from backend.durations import ago, short
from backend.page.overview import read_overview
from backend.page.permission import check_form, may_change
from backend.service import Service
from backend.versions.line import PICTURES
from backend.versions.of_project import line_of_project

_TEMPLATES = Path(__file__).parents[1] / "templates"

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""No script at all, nothing from elsewhere, and no page of somebody else around it."""

_A_DAY = 86_400


def page_routes(service: Service) -> Blueprint:
    """The page for people."""
    routes = Blueprint("page", __name__, template_folder=str(_TEMPLATES))

    @routes.get("/")
    def page() -> Response:
        """Jobs, versions and what they are worth."""
        values = {"overview": read_overview(service), "service": service, "may_change": may_change(request, service.settings)}
        response = make_response(render_template("page.html", **values, ago=ago, short=short))
        response.headers.update({"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"})
        return response

    @routes.post("/projects/<int:project>/serving")
    def serve(project: int) -> AnyResponse:
        """Let the version ``to`` serve, ``base`` for the weights that all come from; as ``wordmask versions rollback`` does."""
        check_form(request, service.settings)
        line_of_project(service.settings, project).roll_back(request.form.get("to") or None)
        return redirect(url_for("page.page", _anchor=f"project-{project}"), 303)

    @routes.get("/projects/<int:project>/versions/<int:number>/pictures/<name>")
    def picture(project: int, number: int, name: str) -> Response:
        """A picture before or after a version; a version never changes, so neither does its picture."""
        folder = line_of_project(service.settings, project).find(str(number)).folder / PICTURES
        return send_from_directory(folder.resolve(), name, mimetype="image/jpeg", max_age=_A_DAY)

    return routes
