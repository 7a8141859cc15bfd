"""``wordmask import``: published data sets and exports of Label Studio, into a data set folder or straight into a project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from backend.cli.export import SOMETHING_LEFT_OUT
from backend.errors import BadRequest, LabelStudioError, SettingsError
from backend.export.records import ImageMode
from backend.findings import Findings
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.importing.image_addresses import ImageAddresses
    from backend.importing.reading import ImportSource, OnProgress
    from backend.label_studio import LabelStudioClient

_SHOWN_SPLITS = 20


def import_(
    format: Annotated[
        str,
        typer.Argument(
            help="coco, coco-panoptic, coco-stuff, ade20k, mess, refcoco, refcoco+, refcocog, referit, grefcoco, phrasecut, label-studio, "
            "or auto."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="The data set's file or folder, as it was published.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Data set folder to write; it appears when it is complete.")] = None,
    to_project: Annotated[int | None, typer.Option(min=1, help="Number of a project in Label Studio that gets them as tasks.")] = None,
    image_root: Annotated[Path | None, typer.Option(help="Folder with the image files.")] = None,
    images: Annotated[
        ImageMode | None, typer.Option(help="Leave the image files where they are (default), copy them, or link to them (--out).")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Name of the split, where the files do not tell it.")] = None,
    split_by: Annotated[str | None, typer.Option(help="Which division into splits: unc, umd, google, berkeley.")] = None,
    label_config: Annotated[Path | None, typer.Option(help="Labeling config of an export of Label Studio.")] = None,
    source: Annotated[
        Literal["annotations", "predictions"], typer.Option(help="What to take of an export of Label Studio.")
    ] = "annotations",
    image_url: Annotated[str | None, typer.Option(help="Address under which a web server has the images (--to-project).")] = None,
    image_local: Annotated[str | None, typer.Option(help="Path of the images in Label Studio's local files (--to-project).")] = None,
    model_version: Annotated[str | None, typer.Option(help="Version of the predictions; else import:FORMAT (--to-project).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first warning or error.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; tell what would come in and what is left out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the data set in --out.")] = False,
) -> None:
    """Bring in a data set in its original files, masks to the pixel: for training and evaluation (--out), or as tasks (--to-project).

    Whatever is broken is told and left out, the rest comes in. With --to-project, images are uploaded from --image-root unless
    --image-url or --image-local says where Label Studio finds them; the same command again goes on where it stopped.

    Exit code: 0 everything came in, 1 nothing was written, 3 something was left out.
    """
    from backend.importing.reading import resolve_format

    if (out is None) == (to_project is None) and not (dry_run and out is None):
        raise BadRequest("give either --out FOLDER or --to-project NUMBER")
    if image_root is not None and not image_root.is_dir():
        raise BadRequest(f"--image-root {image_root} is no folder")
    settings = Settings.from_env()
    name = resolve_format(format, path)
    found = _source(settings, name, path, image_root, images, split, split_by, label_config, source)
    if to_project is None:
        _into_folder(found, None if dry_run else out, images or "leave", strict, overwrite)
        return
    client = _client(settings)
    addresses = _addresses(client, to_project, image_root, image_url, image_local)
    _into_project(found, client, to_project, None if dry_run else addresses, model_version, settings.prompt_field, strict)


def _into_folder(source: ImportSource, out: Path | None, images: ImageMode, strict: bool, overwrite: bool) -> None:
    from backend.importing.reading import LABEL_STUDIO
    from backend.importing.to_folder import ImportJob, import_to_folder

    with _progress() as on_progress:
        summary, findings = import_to_folder(ImportJob(source, out, images, strict, overwrite), on_progress)
    console = _tell(findings)
    told = summary.to_json()
    for split, count in list(told["splits"].items())[:_SHOWN_SPLITS]:
        name = "".join(character if character.isprintable() else " " for character in split) or "without split"
        console.print(f"  {count:8d} {escape(name)}", highlight=False)
    verb = "would come in" if out is None else f"are in {out}"
    console.print(
        f"{told['samples']} images with {told['targets']} targets ({told['boxes_only']} of them boxes) and {told['expressions']} "
        f"expressions ({told['expressions_about_nothing']} about nothing) {verb}; {_numbers(findings)}",
        highlight=False,
    )
    if source.image_root is None and source.format != LABEL_STUDIO and out is not None:
        console.print(f"put the image files into {out / 'images'}, or say with --image-root where they are", highlight=False)
    if findings.lost_something:
        raise typer.Exit(SOMETHING_LEFT_OUT)


def _into_project(
    source: ImportSource,
    client: LabelStudioClient,
    project: int,
    addresses: ImageAddresses | None,
    model_version: str | None,
    prompt_field: str,
    strict: bool,
) -> None:
    from backend.importing.to_project import ProjectJob, ProjectSummary, import_to_project

    job = ProjectJob(source, client, project, addresses, model_version or f"import:{source.format}", prompt_field, strict)
    summary, findings = ProjectSummary(), Findings(strict)
    try:
        with _progress() as on_progress:
            import_to_project(job, on_progress, summary, findings)
    except (LabelStudioError, KeyboardInterrupt):
        typer.echo(f"{summary.created} tasks were created; the same command goes on from there", err=True)
        raise
    verb = "would be created" if addresses is None else "created"
    _tell(findings).print(
        f"project {project}: {summary.created} tasks with {summary.regions} regions {verb}, {summary.skipped} were there already; "
        f"{_numbers(findings)}",
        highlight=False,
    )
    if findings.lost_something:
        raise typer.Exit(SOMETHING_LEFT_OUT)


def _source(
    settings: Settings,
    name: str,
    path: Path,
    image_root: Path | None,
    images: ImageMode | None,
    split: str | None,
    split_by: str | None,
    label_config: Path | None,
    source: str,
) -> ImportSource:
    from backend.importing.reading import LABEL_STUDIO, ImportSource

    if images in ("copy", "link") and image_root is None and not (name == LABEL_STUDIO and images == "copy"):
        raise BadRequest(f"--images {images} needs --image-root, the folder with the image files")
    return ImportSource(
        format=name,
        path=path,
        split=split,
        split_by=split_by,
        image_root=image_root,
        label_config=_read_text(label_config),
        predictions=source == "predictions",
        fetch=_image_files(settings, image_root) if name == LABEL_STUDIO and (image_root is not None or images != "leave") else None,
    )


def _image_files(settings: Settings, root: Path | None) -> Any:
    from backend.export.image_files import FetchedFiles, FilesOnDisk
    from backend.images import ImageLoader
    from backend.label_studio import client_of

    if root is not None:
        return FilesOnDisk(root, int(settings.image_max_bytes), settings.image_max_pixels)
    return FetchedFiles(ImageLoader(settings, client_of(settings)))


def _client(settings: Settings) -> LabelStudioClient:
    from backend.label_studio import client_of

    client = client_of(settings)
    if client is None:
        raise SettingsError("LABEL_STUDIO_URL is not set; set it and LABEL_STUDIO_API_KEY (the environment and .env are read)")
    return client


def _addresses(
    client: LabelStudioClient, project: int, image_root: Path | None, image_url: str | None, image_local: str | None
) -> ImageAddresses:
    from backend.importing.image_addresses import LocalFiles, Uploads, WebAddresses, check_web_prefix

    if image_url is not None and image_local is not None:
        raise BadRequest("--image-url and --image-local both say where the images are; give one of them")
    if image_url is not None:
        return WebAddresses(check_web_prefix(image_url))
    if image_local is not None:
        return LocalFiles(image_local)
    if image_root is None:
        raise BadRequest("Label Studio needs the images: give --image-root to upload them, or --image-url or --image-local")
    return Uploads(client, project)


def _read_text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the labeling config {path}: {error}; expected the project's XML") from error


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """One bar per thing that is done, in the order in which they come up."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, TaskID] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what)
            progress.update(bars[what], completed=done, total=total or None)

        yield on_progress


def _tell(findings: Findings) -> Console:
    console = Console(soft_wrap=True)
    for line in findings.lines():
        console.print(escape(line), highlight=False)
    return console


def _numbers(findings: Findings) -> str:
    return f"{findings.number('error')} errors, {findings.number('warning')} warnings, {findings.number('note')} notes"
