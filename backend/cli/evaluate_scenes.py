"""Measuring a model on generated scenes, and holding its model card to the result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from backend.cli.evaluate_output import Record, about_this_run, keep_results, people, print_table, progress_bar, save_text
from backend.cli.loading import load_for
from backend.errors import BackendError, BadRequest
from backend.settings import Settings

if TYPE_CHECKING:
    from models import Engine, ModelCard

ALL_SPLITS = "all"


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """What the options of the command say."""

    split: str
    scenes: int
    data: Path
    json_file: Path | None
    card: Path | None
    check: bool
    write: bool
    tolerance: float
    out: Path | None


def evaluate_scenes(context: typer.Context, options: SceneOptions, profile: str | None, device: str | None) -> None:
    """Measure, print tables to standard error and JSON to standard output, write or check the card, keep files where asked.

    Raises:
        BackendError: the scenes cannot be made, a file cannot be written, or the card says something else.
    """
    if (options.check or options.write) != (options.card is not None) or (options.check and options.write):
        raise BadRequest("--card goes with either --check or --write; give both or neither")
    card = None if options.card is None else _open_card(options.card)
    engine = load_for(context, Settings.from_env(), profile, device)
    console = people()
    names = _split_names(options.split)
    splits = {}
    for name in names:
        out = options.out / name if options.out and len(names) > 1 else options.out
        splits[name] = _measure(context, engine, name, options, out, console)
    text = json.dumps({"version": engine.version, "splits": splits}, indent=1)
    typer.echo(text)
    if options.json_file is not None:
        save_text(options.json_file, text + "\n")
    if card is not None and options.write:
        card.write(engine.version, splits)
    if card is not None and options.check:
        _hold(card, engine.version, splits, options.tolerance)


def _split_names(split: str) -> list[str]:
    from models import REPORTED_SPLITS

    if split != ALL_SPLITS and split not in REPORTED_SPLITS:
        raise BadRequest(f"unknown split {split!r}; the splits are {', '.join(REPORTED_SPLITS)}, or {ALL_SPLITS}")
    return list(REPORTED_SPLITS) if split == ALL_SPLITS else [split]


def _measure(
    context: typer.Context, engine: Engine, split: str, options: SceneOptions, out: Path | None, console: Console
) -> dict[str, Any]:
    from models import evaluate_split, evaluate_split_with_rows, prepare_split

    with progress_bar(console) as progress:
        bar = progress.add_task(f"{split}: making scenes", total=None)
        try:
            scenes = prepare_split(split, options.scenes, options.data)
        except (RuntimeError, OSError) as error:  # no npm, no network, no space
            raise BackendError(f"cannot make the scenes of {split}: {error}") from error
        progress.update(bar, description=split, total=len(scenes))
        figures: dict[str, Any] = {}

        def measure(record: Record) -> dict[str, Any]:
            of_split, fields = evaluate_split_with_rows(engine, scenes, record, lambda: progress.advance(bar))
            figures.update(of_split)
            return fields

        if out is None:
            figures = evaluate_split(engine, scenes, lambda: progress.advance(bar))
        else:
            about = about_this_run(context, {"name": engine.name, "version": engine.version}, _describe(split, scenes.path, len(scenes)))
            keep_results(out, about, measure, Settings.from_env(), console)
    _print_tables(figures, f"{split}, {options.scenes} scenes, {engine.version}", console)
    return figures


def _describe(split: str, path: Path, count: int) -> dict[str, Any]:
    return {"kind": "scenes", "name": "emoji scenes", "path": str(path.resolve()), "split": split, "source": "generated", "images": count}


def _print_tables(figures: dict[str, Any], title: str, console: Console) -> None:
    from models import figure_tables

    console.print(f"\n{title}")
    for header, rows in figure_tables(figures):
        print_table(console, "", header, rows)


def _open_card(card: Path) -> ModelCard:
    from models import ModelCard

    try:
        return ModelCard(card)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _hold(card: ModelCard, version: str, splits: dict[str, Any], tolerance: float) -> None:
    """Print what the card says differently; exit code 1 if there is anything."""
    differences = card.differences(version, splits, tolerance)
    for line in differences:
        typer.echo(line, err=True)
    if differences:
        raise BackendError(f"the model card differs from the measurement in {len(differences)} places; see above")
    typer.echo("the model card agrees with the measurement", err=True)
