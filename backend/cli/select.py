"""``wordmask select``: the tasks of a project that are worth an annotation most."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backend.cli.loading import load_for, project_weights
from backend.errors import BackendError, SettingsError
from backend.settings import Settings

_SHOWN_FAILURES = 10


def select(
    context: typer.Context,
    project: Annotated[int, typer.Option(min=1, help="Number of the project in Label Studio (in the address of its page).")],
    budget: Annotated[int, typer.Option(min=1, max=10_000, help="How many tasks to choose.")] = 50,
    order: Annotated[bool, typer.Option("--order", help="Show them first in Label Studio, in a tab of their own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not what serves the project.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ..., if not that of the settings.")] = None,
) -> None:
    """Choose doubtful tasks that are unlike each other, the most valuable first. Run it again to go on after a stop."""
    from backend.dataset.source import ProjectSource
    from backend.images import ImageLoader
    from backend.label_config import parse_label_config
    from backend.label_studio import client_of
    from backend.label_studio_errors import RETRY_SECONDS
    from backend.looked_at import LookedAt
    from backend.next_batch import NextBatch
    from backend.task_view import show_first

    settings = Settings.from_env()
    client = client_of(settings)
    if client is None:
        raise SettingsError("LABEL_STUDIO_URL is not set; set it and LABEL_STUDIO_API_KEY (the environment and .env are read)")
    config = client.project(project)["label_config"]
    batch = NextBatch(
        ProjectSource(client, project, RETRY_SECONDS),
        config,
        parse_label_config(config),
        load_for(context, settings, profile or project_weights(settings, project), device),
        ImageLoader(settings, client),
        settings,
        LookedAt(settings.data_dir / "looked-at.sqlite3"),
    )
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"project {project}", total=None)
        choice = batch.choose(budget, lambda done, total: progress.update(bar, completed=done, total=total))
    tab = show_first(client, project, [one.task for one in choice.chosen]) if order and choice.chosen else None
    if as_json:
        chosen = [{"task": one.task, "doubt": round(one.doubt, 4)} for one in choice.chosen]
        failed = {str(task): reason for task, reason in choice.failed.items()}
        told: dict[str, Any] = {"version": batch.engine.version, "chosen": chosen, "failed": failed, "tab": tab}
        typer.echo(json.dumps(told, indent=1))
        return
    table = Table("", "task", "doubt", box=None)
    for place, one in enumerate(choice.chosen, 1):
        table.add_row(str(place), str(one.task), f"{one.doubt:.3f}")
    if choice.chosen or not choice.failed:
        Console().print(table if choice.chosen else "every task has an annotation", highlight=False)
    typer.echo(f"{len(choice.chosen)} of {choice.waiting} tasks without annotation, as {batch.engine.version} sees them")
    for task, reason in list(choice.failed.items())[:_SHOWN_FAILURES]:
        typer.echo(f"  task {task} was left out: {reason}")
    if len(choice.failed) > _SHOWN_FAILURES:
        typer.echo(f"  ... and {len(choice.failed) - _SHOWN_FAILURES} more (--json lists all)")
    if tab:
        typer.echo(f"shown first at {tab}")
    if choice.failed and not choice.chosen:
        raise BackendError("no task could be looked at")
