"""``wordmask train status, start, stop, retry, log``: the jobs of the trainer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend.durations import ago, short
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.jobs.job import Job, JobQueue

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job, as `wordmask train status` names it.")]


def status(
    number: Annotated[int, typer.Option("--number", min=1, help="How many jobs to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """The newest jobs, and what waits for one."""
    from backend.learning import build_learning

    learning = build_learning(Settings.from_env())
    jobs, unasked = learning.queue.jobs(number), learning.events.unasked()
    if as_json:
        corrections = {str(found.project): found.corrections for found in unasked}
        typer.echo(json.dumps({"jobs": [job.to_json() for job in jobs], "corrections_waiting": corrections}, indent=1))
        return
    table = Table("job", "project", "state", "asked", "took", "what came of it", box=None)
    for job in jobs:
        table.add_row(job.id, str(job.project), job.state, ago(job.created_at), _took(job), escape(job.note or job.reason))
    Console().print(table if jobs else "no job yet", highlight=False)
    for found in unasked:
        typer.echo(f"project {found.project}: {found.corrections} corrections wait for the next job, the first of them {ago(found.since)}")


def start(project: Annotated[int, typer.Option(min=1, help="Number of the project in Label Studio.")]) -> None:
    """Ask for a job, as the Train button in Label Studio does."""
    job = _queue().request(project, "asked for on the command line")
    typer.echo(f"job {job.id} is {job.state}")


def stop(job: JobId) -> None:
    """Take a job out of the queue, or end it while it runs."""
    stopped = _queue().stop(job)
    typer.echo(f"job {job} is {stopped.state}" if stopped.ended_at else f"job {job} is told to stop")


def retry(job: JobId) -> None:
    """Queue a failed or stopped job again; it goes on from its checkpoint."""
    typer.echo(f"job {job} is {_queue().retry(job).state}")


def log(job: JobId) -> None:
    """What a job printed."""
    from backend.jobs.trainer import LOG, job_folder

    settings = Settings.from_env()
    found = _queue(settings).find(job)
    path = job_folder(settings.data_dir, found.id) / LOG
    typer.echo(path.read_text(encoding="utf-8", errors="replace") if path.exists() else f"job {job} has printed nothing on this machine")


def _queue(settings: Settings | None = None) -> JobQueue:
    from backend.learning import build_queue

    return build_queue(settings or Settings.from_env())


def _took(job: Job) -> str:
    return "" if job.started_at is None else short((job.ended_at or time.time()) - job.started_at)
