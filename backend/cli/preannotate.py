"""``wordmask preannotate``: predictions for all tasks of a project, in the background of its annotators."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from backend.cli.loading import load_for, project_weights
from backend.errors import LabelStudioError, SettingsError
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.preannotate import Preannotation, Summary, TaskReport

_SHOWN_TASKS = 10


def preannotate(
    context: typer.Context,
    project: Annotated[int, typer.Option(min=1, help="Number of the project in Label Studio (in the address of its page).")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Predict this many tasks at most; those that are done already do not count.")
    ] = None,
    redo: Annotated[bool, typer.Option("--all/--only-missing", help="Also tasks that hold a prediction of this model version.")] = False,
    prompt: Annotated[str | None, typer.Option(help="One more expression to look for in every task, besides the labels.")] = None,
    field: Annotated[str | None, typer.Option(help="Field of the tasks that holds prompts; as WORDMASK_PROMPT_FIELD.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Tasks per step; a killed run loses at most the steps in work.")] = 4,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Steps at the same time: one fetches images while another computes.")] = 2,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not what serves the project.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ..., if not that of the settings.")] = None,
) -> None:
    """Predict every task of a project and store the results. Run it again to continue: tasks that are done are skipped."""
    from backend.images import ImageLoader
    from backend.label_config import parse_label_config
    from backend.label_studio import client_of
    from backend.preannotate import Preannotation, Summary

    settings = Settings.from_env()
    client = client_of(settings)
    if client is None:
        raise SettingsError("LABEL_STUDIO_URL is not set; set it and LABEL_STUDIO_API_KEY (the environment and .env are read)")
    found = client.project(project)
    plan = parse_label_config(found["label_config"])
    run = Preannotation(
        client=client,
        plan=dataclasses.replace(plan, prompt_field=field) if field else plan,
        engine=load_for(context, settings, profile or project_weights(settings, project), device),
        images=ImageLoader(settings, client),
        settings=settings,
        redo=redo,
        prompt=prompt,
        limit=limit,
        batch_size=batch,
        workers=workers,
    )
    summary = Summary()
    try:
        _run(run, found, summary)
    except KeyboardInterrupt:
        _tell(summary, project)
        typer.echo("stopped; the same command continues")
        raise typer.Exit(130) from None
    except LabelStudioError:
        _tell(summary, project)
        raise
    _tell(summary, project)
    if prompt and summary.counts["skipped"] and sum(summary.counts.values()) == summary.counts["skipped"]:
        typer.echo("every task has a prediction of this model already; --all predicts them again with the prompt")
    if summary.counts["failed"]:
        raise typer.Exit(1)


def _run(run: Preannotation, project: dict[str, Any], summary: Summary) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"project {project['id']}", total=min(project["task_number"], run.limit or project["task_number"]))

        def on_report(report: TaskReport) -> None:
            summary.add(report)
            if run.limit is None or report.outcome != "skipped":
                progress.advance(bar)

        run.run(project["id"], on_report)


def _tell(summary: Summary, project: int) -> None:
    """Print the numbers, then every reason with the tasks it stopped or cut."""
    counts = summary.counts
    console = Console(soft_wrap=True)
    console.print(
        f"project {project}: {counts['done']} done, {counts['empty']} empty, {counts['failed']} failed, "
        f"{counts['skipped']} skipped (had a prediction already)",
        highlight=False,
    )
    for reason, tasks in sorted(summary.tasks_by_reason.items(), key=lambda item: -len(item[1])):
        shown = ", ".join(map(str, tasks[:_SHOWN_TASKS])) + (", ..." if len(tasks) > _SHOWN_TASKS else "")
        console.print(f"  {len(tasks)} x {escape(reason)} (tasks {shown})", highlight=False)
