"""``wordmask train tiny``: make the shipped weights again; ``sam-mi`` and ``photographs``: teach networks to answer label lists."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from backend.errors import BadRequest

train = typer.Typer(no_args_is_help=True, help="Train models, and watch the jobs that do.")

RANK = "RANK"
"""Where ``torchrun`` tells a process its number."""
RUN_HELP = "Folder of checkpoints, logs and, in the end, weights; an unfinished run there goes on."
PROCESSES_HELP = "Processes that share every step; on a CPU, one for each core is soonest done. A number that divides the batch."
DATA_HELP = "Folder of the generated scenes; made when missing (needs npm for the glyphs, and 10 GB)."


@train.callback()
def _train() -> None:
    pass


@train.command()
def tiny(
    run: Annotated[Path, typer.Option(help=RUN_HELP)] = Path("runs/tiny"),
    data: Annotated[Path, typer.Option(help=DATA_HELP)] = Path("runs/scenes"),
    until: Annotated[str | None, typer.Option(help="Last stage to run: clip, sam, prompt or joint.", show_default="all")] = None,
    processes: Annotated[int, typer.Option(min=1, help=PROCESSES_HELP)] = 1,
) -> None:
    """Train the tiny model on generated emoji scenes: less than three hours with two processes on two cores; resumable after a kill."""
    _share_steps(processes)
    from models import train_tiny  # loads torch

    console = _console()
    with _progress(console) as report, _one_line():
        result = train_tiny(data, run, until=until, report=report)
    if result.weights is None:
        console.print(f"stage {until} is done; checkpoints are in {run}")
    else:
        console.print(f"weights are in {result.weights}; measure them with: wordmask evaluate --profile {result.weights}")


@train.command("sam-mi")
def sam_mi(
    base: Annotated[str, typer.Option(help="Profile or weights folder whose encoders it learns behind; they stay as they are.")] = "tiny",
    run: Annotated[Path, typer.Option(help=RUN_HELP)] = Path("runs/sam-mi"),
    data: Annotated[Path, typer.Option(help=DATA_HELP)] = Path("runs/scenes"),
    steps: Annotated[int | None, typer.Option(min=1, help="Fewer or more steps than the recipe says; a run keeps its number.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="low or high: a half of the mask injection left out, for ablations.")] = None,
    processes: Annotated[int, typer.Option(min=1, help=PROCESSES_HELP)] = 1,
) -> None:
    """Train the network for label lists on generated emoji scenes, behind finished weights; resumable after a kill."""
    _share_steps(processes)
    from models import train_sam_mi  # loads torch

    console = _console()
    with _progress(console) as report, _one_line():
        result = train_sam_mi(data, run, base=base, steps=steps, without=tuple(without or ()), report=report)
    console.print(f"weights are in {result.weights}; try them with: wordmask propose IMAGE --labels cat,car --profile {result.weights}")


@train.command()
def photographs(
    dataset: Annotated[Path, typer.Argument(help="Folder in the layout of COCO-Stuff or ADE20K: images, annotations, list of labels.")],
    base: Annotated[str, typer.Option(help="Profile or weights folder that holds CLIP and SAM; they stay as they are.")],
    recipe: Annotated[str, typer.Option(help="What is trained, and how long.")] = "coco-stuff-vit-b",
    run: Annotated[Path, typer.Option(help=RUN_HELP)] = Path("runs/photographs"),
    split: Annotated[str | None, typer.Option(help="Folder of images to train on, if not that of the recipe.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Fewer or more steps than the recipe says; a run keeps its number.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Train the network for label lists on photographs whose every pixel is labelled; needs a GPU to get far. Resumable after a kill."""
    from models import PHOTOGRAPH_RECIPES, train_on_photographs  # loads torch

    if recipe not in PHOTOGRAPH_RECIPES:
        raise BadRequest(f"unknown recipe {recipe!r}; the recipes are {', '.join(PHOTOGRAPH_RECIPES)}")
    chosen, console = PHOTOGRAPH_RECIPES[recipe](), Console(stderr=True)
    with _progress(console) as report, _one_line():
        result = train_on_photographs(chosen, dataset, run, base=base, split=split, steps=steps, device=device, report=report)
    console.print(f"weights are in {result.weights}; measure them with: wordmask evaluate --dataset FOLDER --profile {result.weights}")


def _share_steps(processes: int) -> None:
    """Become ``torchrun``, which starts this command ``processes`` times; nothing where that has happened."""
    if processes > 1 and RANK not in os.environ:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "--"]
        threads = max(1, (os.cpu_count() or 1) // processes)
        # Without the level, torch's remarks on its own parts run through the progress bars.
        environment = {"OMP_NUM_THREADS": str(threads), "TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ}
        os.execve(sys.executable, [sys.executable, *torchrun, *sys.argv], environment)  # noqa: S606 (this command again)


def _console() -> Console:
    """Of the processes that share the steps the first one speaks."""
    return Console(stderr=True, quiet=os.environ.get(RANK, "0") != "0")


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int, dict[str, float]], None]]:
    """One bar per stage, with the stage's figures behind it."""
    columns = (TextColumn("{task.description:<7}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[figures]}"), console=console) as progress:
        bars: dict[str, TaskID] = {}

        def report(stage: str, step: int, steps: int, figures: dict[str, float]) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=steps, figures="")
            text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
            progress.update(bars[stage], completed=step, figures=text)

        yield report


@contextmanager
def _one_line() -> Iterator[None]:
    """What somebody can act on is said in one line."""
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from error
