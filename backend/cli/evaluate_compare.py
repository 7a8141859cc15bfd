"""``wordmask evaluate compare A B``: two evaluations of the same samples side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from backend.cli.evaluate_output import RESULTS, image_reader, people, print_table, save_text, told_in_one_line
from backend.settings import Settings

if TYPE_CHECKING:
    from models import Results

COMPARISON = "comparison.json"
REPORT = "comparison.html"


def compare(
    first: Annotated[Path, typer.Argument(help=f"{RESULTS} of the first evaluation, or its folder.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Of the second; differences are second minus first.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help=f"Folder for {COMPARISON} and {REPORT}.")] = None,
) -> None:
    """Compare two evaluations of the same samples: every figure of both, the difference, and its paired 95 % interval over images."""
    from models import compare_results, comparison_tables, write_comparison

    console = people()
    with told_in_one_line():
        comparison = compare_results(_load(first), _load(second))
    text = json.dumps(comparison.figures, indent=1, ensure_ascii=False)
    console.print(Text(f"\nfirst:  {comparison.a.title}\nsecond: {comparison.b.title}"))
    for table in comparison_tables(comparison.figures):
        print_table(console, table.title, table.header, table.rows)
    typer.echo(text)
    if out is not None:
        with told_in_one_line():
            out.mkdir(parents=True, exist_ok=True)
            write_comparison(out / REPORT, comparison, image_reader(Settings.from_env()))
        save_text(out / COMPARISON, text + "\n")
        console.print(Text(f"wrote {out / COMPARISON} and {out / REPORT}"), soft_wrap=True)


def _load(path: Path) -> Results:
    from models import load_results

    return load_results(path / RESULTS if path.is_dir() else path)
