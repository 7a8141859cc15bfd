"""``wordmask evaluate coco TRUTH FOUND``: one COCO file against another, for checking an export or anybody's results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backend.cli.evaluate_output import people, print_table, save_text, told_in_one_line


def coco(
    truth: Annotated[Path, typer.Argument(help="COCO data set that is right.", show_default=False)],
    found: Annotated[Path, typer.Argument(help="COCO results, or another COCO data set.", show_default=False)],
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """Compare two COCO files: average precision and recall of masks, by COCO's own tool. No model is loaded."""
    from models import evaluate_coco_files, instance_tables

    with told_in_one_line():
        figures = evaluate_coco_files(truth, found)
    console = people()
    for table in instance_tables(figures):
        print_table(console, table.title, table.header, table.rows)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    typer.echo(text)
    if json_file is not None:
        save_text(json_file, text + "\n")
