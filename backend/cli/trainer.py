"""``wordmask trainer``: the process that takes in corrections and runs jobs."""

from __future__ import annotations

import signal
import time
from typing import Annotated

import typer

from backend.settings import Settings

_ASK_AGAIN_SECONDS = 1.0


def trainer(
    beside_service: Annotated[bool, typer.Option("--beside-service", hidden=True)] = False,
) -> None:
    """Take in what annotators corrected and run jobs, until Ctrl-C. `wordmask serve` starts one by itself; other machines need this."""
    from backend.jobs.machine import TrainerRuns
    from backend.request_log import configure_logging
    from backend.trainer_process import build_trainer, input_has_ended

    settings = Settings.from_env()
    configure_logging(settings.log_level)
    made = build_trainer(settings, is_to_leave=input_has_ended if beside_service else lambda: False)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: made.leave())
    if not beside_service:
        typer.echo(f"the trainer works with {settings.data_dir}; Ctrl-C ends it, and a job that runs is queued again")
    while not made.is_leaving:
        try:
            made.run()
        except TrainerRuns:
            if not beside_service:
                raise
            time.sleep(_ASK_AGAIN_SECONDS)  # that of the service before, which is ending, or one that somebody started by hand
