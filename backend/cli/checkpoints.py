"""``wordmask checkpoints``: published weights, from where their authors put them into a folder that serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from backend.checkpoints.errors import CheckpointError, ChoiceNeeded, NotWeights
from backend.checkpoints.fetch import by_hand, fetcher_of, store_of
from backend.checkpoints.prepare import convert_profile, from_store
from backend.checkpoints.profiles import profile_states, registry_of, state_of
from backend.checkpoints.store import Store
from backend.cli.byte_bar import ByteBar
from backend.errors import BadRequest
from backend.settings import Settings
from models import Checkpoint, Profile, Registry, RegistryError, UpstreamPart, WeightsError

if TYPE_CHECKING:
    from models import CheckpointReport

checkpoints = typer.Typer(no_args_is_help=True, help="Published weights: list, fetch, verify and convert them.")

Names = Annotated[list[str], typer.Argument(help="Names of checkpoints, as `wordmask checkpoints list` shows them.")]


@checkpoints.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Show every published file that is known, what of it is here, and which profiles can serve."""
    settings = Settings.from_env()
    registry, store = registry_of(settings), store_of(settings)
    states = profile_states(settings, registry)
    if as_json:
        files = [{**entry.model_dump(), "state": store.state_of(entry), "path": _shown(store.find(entry))} for entry in _entries(registry)]
        served = [{"name": one.profile.name, "title": one.profile.title, "ready": one.ready, "next": one.next_step} for one in states]
        typer.echo(json.dumps({"folder": str(store.folder), "checkpoints": files, "profiles": served}, indent=1))
        return
    console = Console(highlight=False)
    console.print(f"published files, in {store.folder}:", soft_wrap=True)
    table = Table("checkpoint", "size", "SHA-256", "licence", "here", box=SIMPLE_HEAD)
    for entry in _entries(registry):
        digest = "published" if entry.sha256 else "recorded" if store.recorded(entry) else "at first fetch"
        size = decimal(entry.size) if entry.size else "?"
        table.add_row(Text(entry.name, no_wrap=True), size, digest, entry.licence, store.state_of(entry))
    console.print(table)
    for one in states:
        step = f"wordmask serve --profile {one.profile.name}" if one.ready else one.next_step
        console.print(Text.assemble((one.profile.name, "bold"), f": {one.profile.title}\n    {step}"), soft_wrap=True)


@checkpoints.command()
def fetch(
    names: Names,
    file: Annotated[str | None, typer.Option(help="Which file of its repository, where several could be meant.")] = None,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Also hold names and shapes against the listing.")] = True,
) -> None:
    """Fetch published files; a download that broke off goes on where it stopped."""
    settings = Settings.from_env()
    registry, fetcher = registry_of(settings), fetcher_of(settings, verify=verify)
    if file is not None and len(names) != 1:
        raise BadRequest("--file names one file, so give one checkpoint with it")
    for entry in [_entry(registry, name) for name in names]:
        try:
            with ByteBar(entry.name) as report:
                path = fetcher.fetch(entry, report, file=file)
        except ChoiceNeeded as error:
            _show_choice(error)
            raise
        except KeyboardInterrupt:
            typer.echo("stopped; the same command continues", err=True)
            raise typer.Exit(130) from None
        typer.echo(f"{entry.name}: {path}")


@checkpoints.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Names of checkpoints; without: all that are here.")] = None,
    path: Annotated[Path | None, typer.Option(help="A file elsewhere, to be held against the one checkpoint that is named.")] = None,
) -> None:
    """Check digests, and names and shapes of every tensor, without running anything that a file brings along."""
    settings = Settings.from_env()
    registry, store = registry_of(settings), store_of(settings)
    if path is not None:
        if not names or len(names) != 1:
            raise BadRequest("--path needs the name of the one checkpoint that the file should be")
        typer.echo(_describe(names[0], path, _verified(_entry(registry, names[0]), path), "not compared"))
        return
    entries = [_entry(registry, name) for name in names or []] or [one for one in _entries(registry) if store.find(one) is not None]
    if not entries:
        typer.echo(f"no published file is in {store.folder}; fetch one with: wordmask checkpoints fetch NAME")
    wrong = [message for entry in entries if (message := _verify_one(entry, store))]
    if wrong:
        raise CheckpointError(f"{len(wrong)} of {len(entries)} files cannot be used: " + " | ".join(wrong))


@checkpoints.command()
def convert(
    profile: Annotated[str, typer.Argument(help="Name of a profile, as `wordmask checkpoints list` shows it.")],
    published: Annotated[Path | None, typer.Option("--from", help="A checkpoint file in place of the fetched one.")] = None,
    clip: Annotated[Path | None, typer.Option(help="OpenAI's CLIP file, to be used instead of the checkpoint's own CLIP.")] = None,
    sam: Annotated[Path | None, typer.Option(help="A SAM file, for its image encoder instead of the checkpoint's own.")] = None,
) -> None:
    """Make a folder that serves of published files. Parts that the checkpoint lacks come from the fetched files of CLIP and SAM."""
    settings = Settings.from_env()
    registry, store = registry_of(settings), store_of(settings)
    upstream: dict[UpstreamPart, Path] = {}
    if clip is not None:
        upstream["clip"] = clip
    if sam is not None:
        upstream["sam_image_encoder"] = sam
    with ByteBar(profile) as report:
        folder = convert_profile(
            _profile(registry, profile), registry, store, bring=from_store(store), published=published, upstream=upstream, report=report
        )
    typer.echo(f"{folder.version}: {folder.path}\nserve it with: wordmask serve --profile {profile}")


def prepare(settings: Settings) -> None:
    """Fetch and convert what the settings' profile lacks, with progress; nothing to do for one that is ready, or for a folder.

    Raises:
        CheckpointError: a file cannot be had or used.
    """
    state = state_of(settings)
    if state is None or state.ready:
        return
    registry, store, fetcher = registry_of(settings), store_of(settings), fetcher_of(settings)

    def bring(entry: Checkpoint) -> Path:
        with ByteBar(entry.name) as report:
            return fetcher.fetch(entry, report)

    try:
        with ByteBar(f"{state.profile.name}: converting") as report:
            convert_profile(state.profile, registry, store, bring=bring, report=report)
    except ChoiceNeeded as error:
        _show_choice(error)
        raise


def _verify_one(entry: Checkpoint, store: Store) -> str | None:
    """Print what a file is; or why it cannot be used, which is also returned."""
    path = store.find(entry)
    try:
        if path is None:
            raise CheckpointError(
                f"{entry.name} is not here; run: wordmask checkpoints fetch {entry.name}. By hand: {by_hand(entry, store)}"
            )
        compared = store.check_digest(entry, path)
        digest = "is the published one" if entry.sha256 else "is the recorded one" if compared else "recorded from now on"
        typer.echo(_describe(entry.name, path, _verified(entry, path), digest))
    except CheckpointError as error:
        return error.message
    return None


def _verified(entry: Checkpoint, path: Path) -> CheckpointReport:
    from models import verify_checkpoint  # loads torch

    try:
        return verify_checkpoint(path, entry, check_records=entry.sha256 is None)
    except WeightsError as error:
        raise NotWeights(f"{entry.name}: {error}") from error


def _describe(name: str, path: Path, report: CheckpointReport, digest: str) -> str:
    parts = [f"{report.tensors} tensors, {report.parameters:,} numbers", f"SHA-256 {digest}"]
    if report.layout is not None:
        parts.append(f"{report.layout} layout")
    if report.lacking:
        parts.append(f"without {' and '.join(sorted(report.lacking))}")
    if report.beside:
        parts.append(f"also holds {', '.join(report.beside)}, which is left out")
    return f"{name}: {path} is good: {'; '.join(parts)}"


def _show_choice(error: ChoiceNeeded) -> None:
    table = Table("file", "size", "SHA-256")
    for one in error.files:
        table.add_row(one.path, decimal(one.size) if one.size else "?", (one.sha256 or "not told")[:16])
    Console(stderr=True, highlight=False).print(table)


def _entries(registry: Registry) -> list[Checkpoint]:
    return list(registry.checkpoints.values())


def _entry(registry: Registry, name: str) -> Checkpoint:
    try:
        return registry.checkpoint(name)
    except RegistryError as error:
        raise BadRequest(str(error)) from error


def _profile(registry: Registry, name: str) -> Profile:
    try:
        return registry.profile(name)
    except RegistryError as error:
        raise BadRequest(str(error)) from error


def _shown(path: Path | None) -> Any:
    return None if path is None else str(path)
