"""``wordmask evaluate``: measure a model on scenes it never saw or on a data set, and hold its model card to the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.cli.evaluate_coco import coco
from backend.cli.evaluate_compare import compare
from backend.cli.evaluate_dataset import DatasetOptions, evaluate_dataset_folder
from backend.cli.evaluate_output import REPORT, RESULTS
from backend.cli.evaluate_scenes import SceneOptions, evaluate_scenes
from backend.errors import BadRequest

SPLIT_HELP = "held-out-scenes, compositions, seen-pairs (what compositions are to be compared with), backgrounds, openmoji or all."
OUT_HELP = f"Folder for {RESULTS}, its rows and {REPORT}; one folder per split if there are several."

evaluate = typer.Typer(help="Measure a model.", invoke_without_command=True)
evaluate.command()(coco)
evaluate.command()(compare)


@evaluate.callback()
def _evaluate(
    context: typer.Context,
    split: Annotated[str, typer.Option(help=SPLIT_HELP)] = "held-out-scenes",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes per split; fewer than 500 give wide intervals.")] = 500,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not that of the settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ..., if not that of the settings.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of scenes; made when missing (needs npm for the glyphs).")] = Path("runs/evaluation"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
    card: Annotated[Path | None, typer.Option(help="Model card to check or to write.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Fail if the card says something else.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the figures into the card.")] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Largest difference of a figure that --check allows.")] = 0.01,
    dataset: Annotated[Path | None, typer.Option(help="Data set folder to measure on instead of scenes.")] = None,
    dataset_split: Annotated[str | None, typer.Option(help="Split of the data set; all of it if not given.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="referring, semantic or instances; may be given several times.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images of the data set.")] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out images that cannot be used, and list them.")] = False,
    labels_as_phrases: Annotated[
        bool, typer.Option("--labels-as-phrases", help="Ask for each label of the data set by itself, not for all as a list.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help=OUT_HELP)] = None,
) -> None:
    """Measure masks from words, clicks and boxes on emoji scenes that training never saw, or on a data set; print tables and JSON."""
    if context.invoked_subcommand is not None:
        return
    if dataset is not None:
        if card is not None:
            raise BadRequest("a model card is about scenes; leave --dataset or --card out")
        options = DatasetOptions(dataset, dataset_split, tuple(task or ()), limit, skip_broken, labels_as_phrases, json_file, out)
        evaluate_dataset_folder(context, options, profile, device)
        return
    if dataset_split is not None or task or limit is not None or skip_broken or labels_as_phrases:
        raise BadRequest("--dataset-split, --task, --limit, --skip-broken and --labels-as-phrases go with --dataset; name its folder")
    evaluate_scenes(context, SceneOptions(split, scenes, data, json_file, card, check, write, tolerance, out), profile, device)
