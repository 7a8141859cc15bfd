"""``wordmask propose IMAGE --labels "cat,car,tree"``: a list of labels to masks for one image file, without Label Studio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.cli.image_file import read_image
from backend.cli.loading import load_for
from backend.errors import BackendError, BadRequest
from backend.settings import Settings
from models import Engine, Proposal, ProposalOptions, Proposals, ProposingEngine, RgbImage, draw_overlay, draw_stages

STANDARD_OUTPUT = Path("-")
LABELS_HELP = 'What to look for, separated by commas, for example "cat,car,tree".'


def propose(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="Image file to look at.", show_default=False)],
    labels: Annotated[str, typer.Option(help=LABELS_HELP, show_default=False)],
    background: Annotated[str, typer.Option(help="Names of what else may be there; competes and is not returned.")] = "",
    stuff: Annotated[str, typer.Option(help="Those of the labels that cannot be counted; each gives one proposal.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for NAME-proposals.png, NAME-stages.png and NAME-proposals.json.")] = Path(),
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the JSON goes instead; - for standard output.")] = None,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not that of the settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ..., if not that of the settings.")] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Lowest score kept; by default the model's own.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Most proposals kept.")] = 100,
) -> None:
    """Find everything that a list of labels names: overlay, a picture of the steps on the way, JSON with label masks and proposals."""
    settings = Settings.from_env()
    names = split_names(labels)
    if not names:
        raise BadRequest('found no label; say what to look for, for example --labels "cat,car,tree"')
    options = ProposalOptions(min_score=threshold, max_proposals=most, stuff=frozenset(split_names(stuff)))
    rgb = read_image(image, settings)
    engine = load_for(context, settings, profile, device)
    if not isinstance(engine, ProposingEngine):
        raise BadRequest(
            f"the model {engine.name!r} answers expressions, not lists of labels; use `wordmask segment`, or another --profile"
        )
    found = engine.propose(rgb, names, background=split_names(background), options=options)

    overlay, stages = out / f"{image.stem}-proposals.png", out / f"{image.stem}-stages.png"
    answer = json_file or out / f"{image.stem}-proposals.json"
    text = json.dumps(describe(engine, image, rgb, found), indent=1) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_overlay(rgb, names, _by_label(found))).save(overlay)
        Image.fromarray(draw_stages(rgb, found)).save(stages)
        if answer != STANDARD_OUTPUT:
            answer.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BackendError(f"cannot write the results: {error}; choose another folder with --out") from error
    if answer == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
    _report(found, [overlay, stages, answer])


def split_names(text: str) -> list[str]:
    """The names between commas, tidied; nothing between two commas is no name."""
    names = (" ".join(part.split()) for part in text.split(","))
    return [name for name in names if name]


def describe(engine: Engine, path: Path, image: RgbImage, found: Proposals) -> dict[str, Any]:
    """The answer as JSON: image, model version, label masks as pixel counts, every proposal, and the time of each step."""
    pixels = {label: int(found.semantic_mask(number).sum()) for number, label in enumerate(found.labels)}
    return {
        "image": {"path": str(path), "width": image.shape[1], "height": image.shape[0]},
        "model_version": engine.version,
        "labels": [{"label": label, "pixels": pixels[label]} for label in found.labels],
        "proposals": [_describe_proposal(one) for one in found.proposals],
        "steps": {
            "points": found.stages.points.round(1).tolist(),
            "sam_masks": len(found.stages.sam_masks),
            "joined_masks": len(found.stages.joined_masks),
            "seconds": {step: round(seconds, 4) for step, seconds in found.stages.seconds.items()},
        },
    }


def _describe_proposal(one: Proposal) -> dict[str, Any]:
    return {
        "label": one.label,
        "score": round(one.score, 4),
        "box": one.box,
        "area": one.area,
        "source": one.source,
        "is_stuff": one.is_stuff,
        "predicted_iou": round(one.predicted_iou, 4),
        "stability": round(one.stability, 4),
        "points": [[round(x, 1), round(y, 1)] for x, y in one.points],
        "members": list(one.members),
        "rle": one.rle,
    }


def _by_label(found: Proposals) -> list[list[Any]]:
    return [[one.segment() for one in found.proposals if one.label_index == number] for number in range(len(found.labels))]


def _report(found: Proposals, files: Sequence[Path]) -> None:
    """Print for people; to standard error when the JSON has standard output for itself."""
    console = Console(stderr=STANDARD_OUTPUT in files, highlight=False)
    table = Table("label", "score", "box (x0 y0 x1 y1)", "pixels", "from")
    for one in found.proposals:
        table.add_row(Text(one.label), f"{one.score:.2f}", " ".join(f"{edge:.0f}" for edge in one.box), f"{one.area}", one.source)
    seen = {one.label_index for one in found.proposals}
    for number, label in enumerate(found.labels):
        if number not in seen:
            table.add_row(Text(label), "-", "not found", "-", "-")
    console.print(table)
    for file in files:
        if file != STANDARD_OUTPUT:
            console.print(Text(f"wrote {file}"), soft_wrap=True)
