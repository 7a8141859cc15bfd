"""``wordmask dataset pull, show, write``: the samples that corrections have become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.errors import BadRequest, SettingsError
from backend.settings import Settings

dataset = typer.Typer(no_args_is_help=True, help="Samples from the annotations of a project, for training and evaluation.")

Project = Annotated[int, typer.Option("--project", min=1, help="Number of the project in Label Studio.")]
_SHOWN = 20


@dataset.command()
def pull(project: Project) -> None:
    """Fetch what changed in a project since it was last looked at, every task the first time. Run it again to go on after a stop."""
    from backend.dataset.prepare import dataset_update
    from backend.label_studio import client_of

    settings = Settings.from_env()
    client = client_of(settings)
    if client is None:
        raise SettingsError("LABEL_STUDIO_URL is not set; set it and LABEL_STUDIO_API_KEY (the environment and .env are read)")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"project {project}", total=None)
        update = dataset_update(settings, client, is_patient=True)
        report = update.whole_project(project, lambda done, total: progress.update(bar, completed=done, total=total))
    typer.echo(f"project {project}: tasks {report}")
    for line in report.findings.lines():
        if not line.startswith("note"):
            typer.echo(f"  {line}")


@dataset.command()
def show(project: Project, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """How much a project has given, and what could not be used."""
    from backend.dataset.prepare import sample_store

    store = sample_store(Settings.from_env())
    if store.known_project(project) is None:
        raise BadRequest(f"nothing of project {project} is here; fetch it with `wordmask dataset pull --project {project}`")
    counts, findings = store.counts(project), store.findings(project)
    if as_json:
        numbers: dict[str, Any] = {name: getattr(counts, name) for name in ("tasks", "samples", "targets", "expressions", "incomplete")}
        typer.echo(json.dumps({**numbers, "splits": counts.by_split, "findings": findings}, indent=1))
        return
    splits = ", ".join(f"{number} {split}" for split, number in sorted(counts.by_split.items()))
    typer.echo(f"project {project}: {counts.samples} samples ({splits or 'none'}) of {counts.tasks} tasks")
    typer.echo(f"  {counts.targets} regions, {counts.expressions} expressions")
    for found in findings[:_SHOWN]:
        typer.echo(f"  task {found.get('task')}: {found['what']}; {found['action']}")
    if len(findings) > _SHOWN:
        typer.echo(f"  ... and {len(findings) - _SHOWN} more (--json lists all)")


@dataset.command()
def write(
    project: Project,
    folder: Annotated[Path, typer.Argument(help="Folder to make; a data set that is there gives way.")],
) -> None:
    """Write the samples of a project as a data set folder."""
    from backend.dataset.folder import write_folder
    from backend.dataset.prepare import sample_store

    counts = write_folder(sample_store(Settings.from_env()), project, folder)
    typer.echo(f"{folder}: {counts['samples']} samples, {counts['targets']} regions, {counts['expressions']} expressions")
