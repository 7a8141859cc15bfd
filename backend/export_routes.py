"""The HTTP route that hands out the masks of a project, for those who may see it in Label Studio."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_file

from backend.export.download import TOKEN_HEADER, Downloads
from backend.settings import Settings


def export_routes(settings: Settings) -> Blueprint:
    """Routes for the owners of projects."""
    routes = Blueprint("export", __name__)
    downloads = Downloads(settings)

    @routes.get("/projects/<int:project>/export/coco")
    def coco(project: int) -> Response:
        """A project's masks as COCO, with the report of what was left out, in a ZIP file.

        Beside the log-in of this service the caller sends a token of Label Studio. Everything is asked for with that token and none
        other, so that nobody gets here what Label Studio would not show them.
        """
        file = downloads.coco(project, request.headers.get(TOKEN_HEADER), request.args)
        return send_file(file, mimetype="application/zip", as_attachment=True, download_name=f"project-{project}-coco.zip")

    return routes
