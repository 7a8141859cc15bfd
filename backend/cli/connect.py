"""``wordmask connect``: set a project of Label Studio up for this service."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from backend.errors import SettingsError
from backend.settings import Settings

_MARKS = {"done": ("✓", "green"), "was so": ("·", "dim"), "offered": ("!", "yellow")}
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


def connect(
    project: Annotated[int, typer.Option(min=1, help="Number of the project in Label Studio (in the address of its page).")],
    url: Annotated[str | None, typer.Option(help="Address of this service for Label Studio, if not that of the settings.")] = None,
    sampling: Annotated[bool, typer.Option("--sampling/--no-sampling", help="Let the most doubtful tasks come first.")] = True,
    prune: Annotated[bool, typer.Option("--prune", help="Remove doubled webhooks and those of backends that were removed.")] = False,
) -> None:
    """Connect the running service to a project: backend, webhook with its secret, sampling. Run it again whenever you like."""
    from backend.connect import Connection
    from backend.label_studio import client_of

    settings = Settings.from_env()
    client = client_of(settings)
    if client is None:
        raise SettingsError("LABEL_STUDIO_URL is not set; set it and LABEL_STUDIO_API_KEY (the environment and .env are read)")
    if url is None and settings.host in _EVERYWHERE:
        raise SettingsError(f"the service listens on {settings.host}, which is no address to connect to; name it with --url")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    console = Console(soft_wrap=True, highlight=False)
    for step in Connection(client, project, url or f"http://{host}:{settings.port}", settings, by_doubt=sampling, prune=prune).make():
        mark, colour = _MARKS[step.outcome]
        console.print(Text.assemble((f"{mark} ", colour), step.what))
