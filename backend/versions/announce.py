"""Label Studio is told which version serves a project: in the title of the backend and as the project's version.

Without it, Label Studio's "Uncertainty sampling" looks for scores under a name that no prediction has, and picks at random.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from backend.errors import BackendError
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import LabelStudioRefused
from backend.settings import Settings
from backend.small_file import read_facts, write_facts
from backend.versions.line import VersionLine, lines
from backend.versions.of_project import line_of_project

logger = logging.getLogger(__name__)

ADOPTION_SECONDS = 5.0
"""After this time every process that serves has taken up a new version, and may be asked for it."""

_TOLD = "told"
_RETRY_SECONDS = 60.0


@dataclass
class Announcer:
    """A chore of the trainer: tells Label Studio of every project whose serving version changed since it was last told.

    Args:
        client: Label Studio.
        settings: where the lines of versions are.
        base: version of the weights that all versions come from.
    """

    client: LabelStudioClient
    settings: Settings
    base: str
    _retry_at: dict[int, float] = field(default_factory=dict)
    _done: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __call__(self) -> None:
        """Look at every project once; one that Label Studio refuses does not keep the others waiting."""
        for line in lines(self.settings.shared_folder):
            stamp = line.stamp()
            is_new = stamp != self._done.get(line.project, (0, 0)) and time.time() - stamp[0] / 1e9 >= ADOPTION_SECONDS
            if is_new and time.monotonic() >= self._retry_at.get(line.project, 0.0):
                try:
                    self.tell(line_of_project(self.settings, line.project))
                    self._done[line.project] = stamp
                except BackendError as error:
                    self._retry_at[line.project] = time.monotonic() + _RETRY_SECONDS
                    logger.warning("project %d: Label Studio was not told which version serves: %s", line.project, error)

    def tell(self, line: VersionLine) -> None:
        """Tell Label Studio which version of a line serves, unless it knows.

        Raises:
            BackendError: Label Studio does not answer or refuses, or the line cannot be read.
        """
        serving = line.serving()
        version = self.base if serving is None or serving.manifest.base.version != self.base else serving.name
        if _last_told(line) == version:
            return
        names = {self.base, *(found.name for found in line.versions())}
        try:
            outcome = announce(self.client, line.project, version, names)
        except LabelStudioRefused as error:
            if error.http_status != 404:
                raise
            outcome = "there is no such project any more"
        write_facts(line.folder / _TOLD, {"version": version})
        logger.info("project %d is served by %s: %s", line.project, version, outcome)


def announce(client: LabelStudioClient, project_id: int, version: str, ours: Collection[str]) -> str:
    """Make a version the one that a project's scores are looked up by.

    Args:
        client: Label Studio.
        project_id: the project.
        version: that serves it now.
        ours: every name that this service may have given a version of the project.

    Returns:
        What was done, for the log.

    Raises:
        LabelStudioError: Label Studio refuses or does not answer; what was done stays.
    """
    project = client.project(project_id)
    backends = client.ml_backends(project_id)  # Label Studio asks each for its version meanwhile
    backend = next((one for one in backends if {one.get("model_version"), one.get("title")} & {*ours, version}), None)
    if backend is None:
        return "no backend of its is this service; `wordmask connect` adds it"
    chosen, title = project.get("model_version") or "", backend.get("title")
    if title not in ours and title != version:
        return f"its backend is called {title!r}, which somebody chose; `wordmask connect` lets it be called as its version"
    if title != version:
        # A PATCH without the url fails. Label Studio renames the project's version along where the two are equal.
        client.patch(f"/api/ml/{backend['id']}", {"project": project_id, "url": backend["url"], "title": version})
    if chosen not in (*ours, version, title, ""):
        return f"its annotators see the predictions of {chosen!r}, which somebody chose"
    if client.project(project_id).get("model_version") != version:
        client.patch(f"/api/projects/{project_id}", {"model_version": version})
    return "Label Studio was told"


def _last_told(line: VersionLine) -> str | None:
    with suppress(OSError, ValueError):
        return str(read_facts(line.folder / _TOLD).get("version"))
    return None
