"""``wordmask doctor``: what is wrong between a project and this service, and what to do."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from backend.cli.loading import load_for
from backend.doctor import Check
from backend.settings import Settings

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def doctor(
    context: typer.Context,
    project: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of the project to check (in the address of its page); without: this machine and what is connected."
        ),
    ] = None,
    model: Annotated[bool, typer.Option("--model/--no-model", help="Load the model, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check everything from a Label Studio project to this service, and say what to do. Exit code 1 when something cannot work."""
    from backend.diagnosis import diagnose

    settings = Settings.from_env()
    load = partial(load_for, context, settings, None, None) if model else None
    console = Console(soft_wrap=True, highlight=False)
    checks: list[Check] = []
    for check in diagnose(settings, project, load):
        checks.append(check)
        if not as_json:
            console.print(_line(check))
    counts = Counter(check.status for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not counts["fail"], "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        console.print(f"{counts['ok']} fine, {counts['warn']} to look at, {counts['fail']} wrong")
    if counts["fail"]:
        raise typer.Exit(1)


def _line(check: Check) -> Text:
    mark, colour = _MARKS[check.status]
    line = Text.assemble((f"{mark} ", colour), (check.name, "bold"), f": {check.message}")
    return line.append(f"\n    {check.remedy}", "cyan") if check.remedy else line
