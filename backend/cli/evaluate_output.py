"""What the commands of ``wordmask evaluate`` share: tables on the terminal, and the folder that keeps results and report."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from backend.errors import BackendError, BadRequest, ImageUnavailable
from backend.image_decode import decode_image
from backend.settings import Settings
from models import RgbImage

RESULTS = "results.json"
REPORT = "report.html"

Record = Callable[[dict[str, Any]], None]


_WIDTH_OF_FILES = 130
"""Columns of tables that no terminal shows, but a log file keeps."""


def people() -> Console:
    """Standard error, for tables and progress; standard output is for JSON."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=_WIDTH_OF_FILES)


def progress_bar(console: Console) -> Progress:
    """A bar that counts, on a terminal only while it moves."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
    )


def print_table(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column holds names and whose others hold figures."""
    table = Table(
        title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0 if len(header) > 8 else (0, 1)
    )
    for column, name in enumerate(header):
        table.add_column(name, justify="right" if column else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def command_line(context: typer.Context) -> str:
    """The command that reproduces this run, from the options that are not at their default."""
    words = [*context.command_path.split()]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if value is None or value == parameter.default or value == ():
            continue
        names = [] if parameter.param_type_name == "argument" else [max(parameter.opts, key=len)]
        for one in value if isinstance(value, list | tuple) else [value]:
            words += names if one is True else [*names, str(one)]
    return shlex.join(words)


def image_reader(settings: Settings) -> Callable[[Path], RgbImage]:
    """Decodes image files within the limits of the settings; raises ``OSError`` or ``ValueError`` where it cannot."""

    def read(path: Path) -> RgbImage:
        try:
            return decode_image(path.read_bytes(), max_pixels=settings.image_max_pixels)
        except ImageUnavailable as error:
            raise ValueError(str(error)) from error

    return read


def about_this_run(context: typer.Context, weights: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The fields of the results that say what was measured, with what."""
    return {
        "command": command_line(context),
        "wordmask": importlib.metadata.version("wordmask"),
        "weights": weights,
        "data": data,
    }


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Results that are damaged and files that cannot be written become errors of the command line."""
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from error
    except OSError as error:
        raise BackendError(f"cannot write {error.filename}: {error.strerror}; choose another folder") from error


def save_text(file: Path, text: str) -> None:
    """Write a file. Raises ``BackendError`` where that fails."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BackendError(f"cannot write {file}: {error.strerror}") from error


def keep_results(
    folder: Path, about: dict[str, Any], measure: Callable[[Record], dict[str, Any]], settings: Settings, console: Console
) -> dict[str, Any]:
    """Measure, and keep results, rows and report in a folder.

    Args:
        folder: made if it is missing.
        about: as from :func:`about_this_run`.
        measure: is given what takes rows, and returns the other fields of the results.
        settings: limits of images that the report shows.
        console: where the files are named.

    Returns:
        What the JSON file holds.

    Raises:
        BackendError: a file cannot be written.
    """
    from models import RowWriter, save_results, write_report

    path = folder / RESULTS
    with told_in_one_line():
        folder.mkdir(parents=True, exist_ok=True)
        with RowWriter(path) as rows:
            figures = measure(rows.add)
            results = save_results(path, {**about, **figures, "rows": rows.close()})
        write_report(folder / REPORT, results, image_reader(settings))
    console.print(Text(f"wrote {path} and {folder / REPORT}"), soft_wrap=True)
    return results.figures
