"""``wordmask versions list, show, rollback, prune``: what a project has learned, and which of it serves."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from backend.errors import BackendError
from backend.settings import Settings
from backend.versions.line import VersionLine

versions = typer.Typer(no_args_is_help=True, help="Versions of the model that a project's corrections have made.")

Project = Annotated[int, typer.Option("--project", min=1, help="Number of the project in Label Studio.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@versions.command("list")
def list_(project: Project, as_json: AsJson = False) -> None:
    """The versions of a project, oldest first, with their scores; the one that serves is marked."""
    line = _line(project)
    found, serving = line.versions(), line.serving()
    if as_json:
        from backend.version_routes import told

        typer.echo(json.dumps({"serving": serving.name if serving else None, "versions": list(map(told, found))}, indent=1))
        return
    table = Table("", "number", "version", "trained from", "mean IoU", "before", "made", box=None)
    for version in found:
        scores = (f"{version.manifest.candidate.mean:.3f}", f"{version.manifest.serving.mean:.3f}")
        mark = "serves" if serving is not None and version.number == serving.number else ""
        table.add_row(mark, str(version.number), version.name, version.manifest.parent or "base", *scores, version.manifest.created)
    Console(soft_wrap=True).print(table if found else f"project {project} has no version of its own yet", highlight=False)
    if found and serving is None:
        typer.echo("the base weights serve")


@versions.command()
def show(
    project: Project,
    version: Annotated[str | None, typer.Argument(help="Name or number of a version; the one that serves when left out.")] = None,
) -> None:
    """All that a version says of itself, as JSON: samples, configuration, scores per label, learning curve, seconds."""
    from backend.version_routes import told

    line = _line(project)
    found = line.find(version) if version else line.serving()
    typer.echo(json.dumps(told(found), indent=1) if found else f"project {project} is served by the base weights")


@versions.command()
def rollback(
    project: Project,
    to: Annotated[str | None, typer.Option(help="Name or number of a version, or `base`; the one before when left out.")] = None,
) -> None:
    """Let an older version serve again. Running services take it up within five seconds, and Label Studio is told."""
    settings = Settings.from_env()
    line = _line(project, settings)
    found = line.roll_back(to)
    typer.echo(f"project {project} is served by {found.name if found else 'the base weights'}")
    _tell(settings, line)


@versions.command()
def prune(
    project: Project,
    keep: Annotated[int | None, typer.Option(min=1, help="How many of the newest to keep, if not as WORDMASK_KEPT_VERSIONS says.")] = None,
) -> None:
    """Remove old versions. The one that serves and the one it came from stay, whatever their age."""
    settings = Settings.from_env()
    removed = _line(project, settings).prune(keep or settings.kept_versions)
    typer.echo("\n".join(f"removed {name}" for name in removed) or "there is nothing to remove")


def _line(project: int, settings: Settings | None = None) -> VersionLine:
    from backend.versions.of_project import line_of_project

    return line_of_project(settings or Settings.from_env(), project)


def _tell(settings: Settings, line: VersionLine) -> None:
    """Tell Label Studio, where it is known; what serves does not depend on it."""
    from backend.app import weights_version
    from backend.label_studio import client_of
    from backend.versions.announce import ADOPTION_SECONDS, Announcer

    client = client_of(settings)
    if client is None:
        typer.echo("LABEL_STUDIO_URL is not set, so Label Studio is told by the trainer of the service")
        return
    time.sleep(ADOPTION_SECONDS)
    try:
        Announcer(client, settings, weights_version(settings)).tell(line)
    except BackendError as error:
        typer.echo(f"wordmask: Label Studio was not told yet, the trainer of the service goes on trying: {error}", err=True)
