"""``wordmask train tiny``: make the shipped weights again, from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from backend.errors import BadRequest

train = typer.Typer(no_args_is_help=True, help="Train models, and watch the jobs that do.")

RUN_HELP = "Folder of checkpoints, logs and, in the end, weights; an unfinished run there goes on."
DATA_HELP = "Folder of the generated scenes; made when missing (needs npm for the glyphs, and 10 GB)."


@train.callback()
def _train() -> None:
    pass


@train.command()
def tiny(
    run: Annotated[Path, typer.Option(help=RUN_HELP)] = Path("runs/tiny"),
    data: Annotated[Path, typer.Option(help=DATA_HELP)] = Path("runs/scenes"),
    until: Annotated[str, typer.Option(help="Last stage to run: clip, sam, prompt or joint.")] = "joint",
    threads: Annotated[int, typer.Option(min=0, help="Threads to compute with; 0 leaves the choice to torch.")] = 0,
) -> None:
    """Train the tiny model on generated emoji scenes: four stages, about two hours on two cores, resumable after a kill."""
    from models import train_tiny  # loads torch

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<7}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[figures]}"), console=console) as progress:
        bars: dict[str, TaskID] = {}

        def report(stage: str, step: int, steps: int, figures: dict[str, float]) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=steps, figures="")
            text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
            progress.update(bars[stage], completed=step, figures=text)

        try:
            result = train_tiny(data, run, until=until, threads=threads, report=report)
        except ValueError as error:
            raise BadRequest(str(error)) from error
    if result.weights is None:
        console.print(f"stage {until} is done; checkpoints are in {run}")
    else:
        console.print(f"weights are in {result.weights}; measure them with: wordmask evaluate --profile {result.weights}")
