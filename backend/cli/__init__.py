"""The command ``wordmask``. One file per command, registered here; the only place that prints errors and chooses exit codes.

A command imports what is heavy inside its body, so that ``wordmask --help`` is quick.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from backend.cli import (
    checkpoints,
    connect,
    dataset,
    doctor,
    evaluate,
    export,
    import_,
    preannotate,
    propose,
    segment,
    select,
    serve,
    train,
    train_jobs,
    trainer,
    versions,
)
from backend.errors import BackendError


class _OneLineErrors(TyperGroup):
    """Turns failures that somebody can act on into one line and exit code 1; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BackendError as error:
            typer.echo(f"wordmask: {error}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="wordmask",
    cls=_OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Words to masks, in Label Studio and on the command line.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wordmask {importlib.metadata.version('wordmask')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    pass


app.command()(serve.serve)
app.command()(trainer.trainer)
app.command()(connect.connect)
app.command()(doctor.doctor)
app.command()(preannotate.preannotate)
app.command()(select.select)
app.command()(segment.segment)
app.command()(propose.propose)
app.command()(export.export)
app.command("import")(import_.import_)
app.add_typer(evaluate.evaluate, name="evaluate")
app.add_typer(checkpoints.checkpoints, name="checkpoints")
app.add_typer(dataset.dataset, name="dataset")
app.add_typer(train.train, name="train")
app.add_typer(versions.versions, name="versions")
for command in (train_jobs.status, train_jobs.start, train_jobs.stop, train_jobs.retry, train_jobs.log):
    train.train.command()(command)


def main() -> None:
    """Run the command that the arguments name."""
    app()
