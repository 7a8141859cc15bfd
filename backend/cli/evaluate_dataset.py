"""``wordmask evaluate --dataset FOLDER``: measure a model on any data set folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from backend.cli.evaluate_output import (
    Record,
    about_this_run,
    image_reader,
    keep_results,
    people,
    print_table,
    progress_bar,
    save_text,
    told_in_one_line,
)
from backend.cli.export import SOMETHING_LEFT_OUT
from backend.cli.loading import load_for
from backend.errors import BadRequest
from backend.settings import Settings

if TYPE_CHECKING:
    from models import Engine, Selection


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """What the options of the command say."""

    folder: Path
    split: str | None
    tasks: tuple[str, ...]
    limit: int | None
    skip_broken: bool
    labels_as_phrases: bool
    json_file: Path | None
    out: Path | None


def evaluate_dataset_folder(context: typer.Context, options: DatasetOptions, profile: str | None, device: str | None) -> None:
    """Measure, print tables to standard error and JSON to standard output, keep files where asked.

    Raises:
        BackendError: the data set cannot be evaluated as asked, or a file cannot be written.
        typer.Exit: all is written, and something was left out.
    """
    settings, console = Settings.from_env(), people()
    selection = _select(options)
    engine = load_for(context, settings, profile, device)
    about = about_this_run(context, {"name": engine.name, "version": engine.version}, _describe(selection))
    measure = _measurement(engine, selection, options, settings, console)
    if options.out is not None:
        figures = keep_results(options.out, about, measure, settings, console)
    else:
        with told_in_one_line():
            figures = {**about, **measure(lambda row: None)}
    _print(figures, console)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    typer.echo(text)
    if options.json_file is not None:
        save_text(options.json_file, text + "\n")
    if figures["skipped"]["count"]:
        raise typer.Exit(SOMETHING_LEFT_OUT)


def _select(options: DatasetOptions) -> Selection:
    from models import EVALUATION_TASKS, DatasetFolder, select_samples

    unknown = sorted(set(options.tasks) - set(EVALUATION_TASKS))
    if unknown:
        raise BadRequest(f"unknown task {unknown[0]!r}; the tasks are {', '.join(EVALUATION_TASKS)}")
    with told_in_one_line():
        return select_samples(DatasetFolder(options.folder), options.split, options.tasks, options.limit)


def _describe(selection: Selection) -> dict[str, Any]:
    folder = selection.folder.path.resolve()
    return {
        "kind": "dataset",
        "name": folder.name,
        "path": str(folder),
        "split": selection.split,
        "source": selection.folder.manifest.source,
        "images": selection.n_images,
    }


def _measurement(
    engine: Engine, selection: Selection, options: DatasetOptions, settings: Settings, console: Console
) -> Callable[[Record], dict[str, Any]]:
    from models import evaluate_dataset

    def measure(record: Record) -> dict[str, Any]:
        with progress_bar(console) as progress:
            bar = progress.add_task(selection.folder.path.name, total=selection.n_images)
            figures = evaluate_dataset(
                engine,
                selection,
                image_reader(settings),
                record,
                skip_broken=options.skip_broken,
                labels_as_phrases=options.labels_as_phrases,
                on_image=lambda: progress.advance(bar),
            )
        return {**figures, "prompts": None}

    return measure


def _print(figures: dict[str, Any], console: Console) -> None:
    from models import result_tables

    data = figures["data"]
    split = f", split {data['split']}" if data["split"] else ""
    console.print(Text(f"\n{data['name']}{split}, {data['images']} images, {figures['weights']['version']}"))
    for table in result_tables(figures):
        print_table(console, table.title, table.header, table.rows)
    skipped = figures["skipped"]
    for one in skipped["examples"][:10]:
        console.print(Text(f"skipped {one['image']}: {one['what']}: {one['why']}", style="yellow"), soft_wrap=True)
    if skipped["count"]:
        console.print(Text(f"skipped {skipped['count']} things in all; the first hundred stand in the JSON", style="yellow"))
