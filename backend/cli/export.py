"""``wordmask export``: the masks of a project or of an export file, as COCO and in further formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from backend.annotator_rule import Source
from backend.errors import BadRequest, LabelStudioError, SettingsError
from backend.export.records import Format, ImageMode, SizeMode
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.export.run import ExportJob, ExportSummary
    from backend.export.splits import Splits
    from backend.findings import Findings

_MOST_CORES = 8
"""Beyond this reading the tasks is what takes the time."""

SOMETHING_LEFT_OUT = 3
"""Exit code of an export that was written without something that should be in it."""


def export(
    format: Annotated[Format, typer.Argument(help="coco (instances), panoptic or semantic (PNG files), or yolo (outlines).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the export; it appears when everything is written.")],
    project: Annotated[int | None, typer.Option(min=1, help="Number of the project in Label Studio.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A JSON export of Label Studio, in place of a project.")] = None,
    label_config: Annotated[
        Path | None, typer.Option(help="The labeling config of --file; else its labels, sorted, are the categories.")
    ] = None,
    source: Annotated[Source, typer.Option(help="Whose masks: of people, of models, or both.")] = "annotations",
    model_version: Annotated[str | None, typer.Option(help="Only predictions of this version.")] = None,
    polygons: Annotated[bool, typer.Option("--polygons", help="Outlines with holes instead of run-length codes (coco).")] = False,
    tolerance: Annotated[float, typer.Option(min=0, max=100, help="Pixels that outlines may run from the exact edge; 0: exact.")] = 0.0,
    crowd: Annotated[list[str] | None, typer.Option(help="A label whose regions are crowds (iscrowd 1); may be repeated.")] = None,
    split: Annotated[str | None, typer.Option(help="Shares by image, as in train=8,val=1,test=1.")] = None,
    split_field: Annotated[str | None, typer.Option(help="Field of the tasks that names their split.")] = None,
    images: Annotated[ImageMode, typer.Option(help="Leave the image files, copy them, or link to those in --image-root.")] = "leave",
    image_root: Annotated[Path | None, typer.Option(help="Folder with the image files, where they lie on this machine.")] = None,
    sizes: Annotated[SizeMode, typer.Option(help="auto: fetch an image when no region tells its size.")] = "auto",
    processes: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that convert; else one per core, at most 8.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first warning or error and write nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; tell what would be written and left out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in the folder.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Fetch all tasks again where an earlier fetch was cut short.")] = False,
) -> None:
    """Write the masks of a project, exactly: all parts and holes of a region in one annotation, every label of the config as a category.

    Of several annotations of a task the ground truth counts, else the newest. Images that were reviewed and hold nothing stay, as
    negatives. Whatever is left out or changed stands in report.json. The same input gives the same bytes.

    Exit code: 0 everything is there, 1 nothing was written, 3 something was left out.
    """
    from backend.export.output_folder import check_place
    from backend.export.records import ConvertOptions
    from backend.export.run import ExportJob, run_export

    if (project is None) == (file is None):
        raise BadRequest("give either --project NUMBER or --file EXPORT.json")
    settings = Settings.from_env()
    if not dry_run:
        check_place(out, overwrite=overwrite)
    splits, files = _splits(split, split_field), _image_files(settings, image_root)
    with _tasks(settings, out, project, file, label_config, fresh) as (tasks, scheme, info):
        unknown = set(crowd or ()) - set(scheme.categories)
        if unknown:
            raise BadRequest(f"--crowd names {sorted(unknown)[0]!r}, which is no label (labels: {', '.join(scheme.categories)[:300]})")
        convert = ConvertOptions(
            scheme=scheme,
            format=format,
            source=source,
            model_version=model_version,
            crowd_labels=tuple(crowd or ()),
            polygons=polygons,
            tolerance=tolerance,
            max_pixels=settings.image_max_pixels,
        )
        job = ExportJob(
            tasks=tasks,
            convert=convert,
            out=None if dry_run else out,
            files=files,
            splits=splits,
            images=images,
            sizes=sizes,
            processes=processes or min(os.cpu_count() or 1, _MOST_CORES),
            strict=strict,
            info=info,
        )
        with _progress("converting", None) as advance:
            summary, findings = run_export(job, advance)
    _tell(job, summary, findings)
    if findings.lost_something:
        raise typer.Exit(SOMETHING_LEFT_OUT)


def _splits(shares: str | None, field: str | None) -> Splits:
    from backend.export.splits import Splits, parse_shares

    if shares is not None and field is not None:
        raise BadRequest("--split and --split-field both say how to split; give one of them")
    return Splits(field, () if shares is None else parse_shares(shares))


@contextmanager
def _tasks(
    settings: Settings, out: Path, project: int | None, file: Path | None, label_config: Path | None, fresh: bool
) -> Iterator[tuple[Path, Any, dict[str, Any]]]:
    """The file with the tasks, their label scheme, and what to say of where they are from."""
    from backend.export.schemes import scheme_of_file, scheme_of_project

    if file is not None:
        yield file, scheme_of_file(file, _read_text(label_config)), _info(f"tasks of {file.name}")
        return
    from backend.export.live_tasks import fetch_tasks, tasks_file
    from backend.label_studio import client_of

    client = client_of(settings)
    if client is None or project is None:
        raise SettingsError("LABEL_STUDIO_URL is not set; set it and LABEL_STUDIO_API_KEY (the environment and .env are read)")
    found = client.project(project)
    waiting = tasks_file(out, client, project)
    if fresh:
        waiting.unlink(missing_ok=True)
    elif waiting.exists():
        typer.echo(f"going on with the tasks that an earlier run fetched into {waiting} (--fresh fetches them again)", err=True)
    try:
        with _progress("fetching", found.get("task_number")) as advance:
            fetch_tasks(client, project, waiting, advance)
    except (LabelStudioError, KeyboardInterrupt):
        typer.echo(f"what has arrived is kept in {waiting}; the same command goes on from there", err=True)
        raise
    try:
        yield waiting, scheme_of_project(found["label_config"], waiting), _info(f"Label Studio project {project}: {found.get('title')}")
    finally:
        waiting.unlink(missing_ok=True)


def _info(description: str) -> dict[str, Any]:
    """No date: the same input gives the same bytes."""
    from importlib.metadata import version

    return {"description": description, "contributor": f"wordmask {version('wordmask')}"}


def _image_files(settings: Settings, root: Path | None) -> Any:
    from backend.export.image_files import FetchedFiles, FilesOnDisk
    from backend.images import ImageLoader
    from backend.label_studio import client_of

    if root is not None:
        if not root.is_dir():
            raise BadRequest(f"--image-root {root} is no folder")
        return FilesOnDisk(root, int(settings.image_max_bytes), settings.image_max_pixels)
    return FetchedFiles(ImageLoader(settings, client_of(settings)))


def _read_text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the labeling config {path}: {error}; expected the project's XML") from error


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Any]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda: progress.advance(bar)


def _tell(job: ExportJob, summary: ExportSummary, findings: Findings) -> None:
    """Print the report, then the numbers."""
    console = Console(soft_wrap=True)
    for line in findings.lines():
        console.print(escape(line), highlight=False)
    told = summary.to_json(job.convert.scheme.categories)
    for name, number in told["categories"].items():
        console.print(f"  {number:8d} {escape(name)}", highlight=False)
    verb = "would be written" if job.out is None else f"written to {job.out}"
    console.print(
        f"{told['masks']} masks on {told['images']} images ({told['negatives']} without any) of {told['tasks']} tasks {verb}; "
        f"{findings.number('error')} errors, {findings.number('warning')} warnings, {findings.number('note')} notes",
        highlight=False,
    )
