"""``wordmask segment IMAGE "expression" ...``: words to masks for one image file, without Label Studio."""

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
from models import Engine, RgbImage, Segment, draw_overlay, mask_to_coco_rle

STANDARD_OUTPUT = Path("-")


def segment(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(help="Image file to look at.", show_default=False)],
    expressions: Annotated[list[str], typer.Argument(help='What to find, for example "the red car on the left".', show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for NAME-overlay.png and NAME-segments.json.")] = Path(),
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the JSON goes instead; - for standard output.")] = None,
    profile: Annotated[str | None, typer.Option(help="A model's name or weights folder, if not that of the settings.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ..., if not that of the settings.")] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Lowest score kept, if not that of the settings.")] = None,
) -> None:
    """Find what expressions refer to in an image: overlay picture, JSON with boxes, scores and COCO RLE, and a table."""
    settings = Settings.from_env()
    phrases = [_checked(expression) for expression in expressions]
    rgb = read_image(image, settings)
    engine = load_for(context, settings, profile, device)
    found = keep_sure(engine.segment(rgb, phrases), settings.score_threshold if threshold is None else threshold)

    overlay = out / f"{image.stem}-overlay.png"
    answer = json_file or out / f"{image.stem}-segments.json"
    text = json.dumps(describe(engine, image, rgb, phrases, found), indent=1) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_overlay(rgb, phrases, found)).save(overlay)
        if answer != STANDARD_OUTPUT:
            answer.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BackendError(f"cannot write the results: {error}; choose another folder with --out") from error
    if answer == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
    _report(phrases, found, [overlay, answer])


def keep_sure(found: Sequence[Sequence[Segment]], threshold: float) -> list[list[Segment]]:
    """Leave out segments with a score below ``threshold``."""
    return [[one for one in segments if one.score >= threshold] for segments in found]


def describe(engine: Engine, path: Path, image: RgbImage, phrases: Sequence[str], found: Sequence[Sequence[Segment]]) -> dict[str, Any]:
    """The answer as JSON: image, model version, and per phrase every segment's score, box ``x0, y0, x1, y1``, area and COCO RLE."""
    return {
        "image": {"path": str(path), "width": image.shape[1], "height": image.shape[0]},
        "model_version": engine.version,
        "phrases": [
            {"phrase": phrase, "segments": [_describe_segment(one) for one in segments]}
            for phrase, segments in zip(phrases, found, strict=True)
        ],
    }


def _describe_segment(segment: Segment) -> dict[str, Any]:
    return {"score": round(segment.score, 4), "box": segment.box, "area": segment.area, "rle": mask_to_coco_rle(segment.mask)}


def _checked(expression: str) -> str:
    phrase = " ".join(expression.split())
    if not phrase:
        raise BadRequest('found an empty expression; say what to look for, for example "red car"')
    return phrase


def _report(phrases: Sequence[str], found: Sequence[Sequence[Segment]], files: Sequence[Path]) -> None:
    """Print for people; to standard error when the JSON has standard output for itself."""
    console = Console(stderr=STANDARD_OUTPUT in files, highlight=False)
    table = Table("expression", "score", "box (x0 y0 x1 y1)", "pixels")
    for phrase, segments in zip(phrases, found, strict=True):
        for one in segments:
            table.add_row(Text(phrase), f"{one.score:.2f}", " ".join(f"{edge:.0f}" for edge in one.box), f"{one.area}")
        if not segments:
            table.add_row(Text(phrase), "-", "not found", "-")
    console.print(table)
    for file in files:
        if file != STANDARD_OUTPUT:
            console.print(Text(f"wrote {file}"), soft_wrap=True)
