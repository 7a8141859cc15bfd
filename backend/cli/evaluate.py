"""``wordmask evaluate``: measure a model on scenes it never saw, and hold its model card to the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backend.cli.loading import load_for
from backend.errors import BackendError, BadRequest
from backend.settings import Settings

if TYPE_CHECKING:
    from models import Engine, ModelCard

ALL_SPLITS = "all"


def evaluate(
    context: typer.Context,
    split: Annotated[str, typer.Option(help="held-out-scenes, compositions, backgrounds, openmoji or all.")] = "held-out-scenes",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes per split; fewer than 500 give wide intervals.")] = 500,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not that of the settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ..., if not that of the settings.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of scenes; made when missing (needs npm for the glyphs).")] = Path("runs/evaluation"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to check or to write.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Fail if the card says something else.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the figures into the card.")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Largest difference of a figure that --check allows.")] = 0.01,
) -> None:
    """Measure masks from words, clicks and boxes on emoji scenes that training never saw; print tables and JSON."""
    if (check or write) != (card is not None) or (check and write):
        raise BadRequest("--card goes with either --check or --write; give both or neither")
    model_card = None if card is None else _open_card(card)
    engine = load_for(context, Settings.from_env(), profile, device)
    console = Console(stderr=True, highlight=False)
    splits = {name: _measure(engine, name, scenes, data, console) for name in _split_names(split)}
    text = json.dumps({"version": engine.version, "splits": splits}, indent=1)
    typer.echo(text)
    if json_file is not None:
        _save(json_file, text + "\n")
    if model_card is not None and write:
        model_card.write(engine.version, splits)
    if model_card is not None and check:
        _hold(model_card, engine.version, splits, tolerance)


def _split_names(split: str) -> list[str]:
    from models import REPORTED_SPLITS

    if split != ALL_SPLITS and split not in REPORTED_SPLITS:
        raise BadRequest(f"unknown split {split!r}; the splits are {', '.join(REPORTED_SPLITS)}, or {ALL_SPLITS}")
    return list(REPORTED_SPLITS) if split == ALL_SPLITS else [split]


def _measure(engine: Engine, split: str, count: int, data: Path, console: Console) -> dict[str, Any]:
    from models import evaluate_split, prepare_split

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"{split}: making scenes", total=None)
        try:
            scenes = prepare_split(split, count, data)
        except (RuntimeError, OSError) as error:  # no npm, no network, no space
            raise BackendError(f"cannot make the scenes of {split}: {error}") from error
        progress.update(bar, description=split, total=len(scenes))
        figures = evaluate_split(engine, scenes, on_scene=lambda: progress.advance(bar))
    _print_tables(figures, f"{split}, {count} scenes, {engine.version}", console)
    return figures


def _print_tables(figures: dict[str, Any], title: str, console: Console) -> None:
    from models import figure_tables

    console.print(f"\n{title}")
    for header, rows in figure_tables(figures):
        table = Table(box=box.SIMPLE_HEAD, padding=0)
        for column, name in enumerate(header):
            table.add_column(name, justify="right" if column else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _open_card(card: Path) -> ModelCard:
    from models import ModelCard

    try:
        return ModelCard(card)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BackendError(f"cannot write {file}: {error.strerror}") from error


def _hold(card: ModelCard, version: str, splits: dict[str, Any], tolerance: float) -> None:
    """Print what the card says differently; exit code 1 if there is anything."""
    differences = card.differences(version, splits, tolerance)
    for line in differences:
        typer.echo(line, err=True)
    if differences:
        raise BackendError(f"the model card differs from the measurement in {len(differences)} places; see above")
    typer.echo("the model card agrees with the measurement", err=True)
