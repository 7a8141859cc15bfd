"""An export as one ZIP file for a request over HTTP: with the caller's own token, in bounded memory, disk and number."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from backend.errors import BackendError, BadRequest, ImageUnavailable
from backend.export.image_files import ImageFile
from backend.export.live_tasks import fetch_tasks
from backend.export.records import ConvertOptions
from backend.export.run import ExportJob, run_export
from backend.export.schemes import scheme_of_project
from backend.export.splits import Splits, parse_shares
from backend.export.task_images import TaskImage
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import LabelStudioRefused
from backend.settings import Settings

TOKEN_HEADER = "X-Label-Studio-Token"  # noqa: S105 - the name of a header

MOST_TASK_BYTES = 4 << 30
"""Largest project, as its tasks come from Label Studio."""

_SECONDS_BETWEEN_ATTEMPTS = (1.0, 2.0)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_COPIED = 1 << 20


class ExportBusy(BackendError):  # noqa: N818 - says what happened
    """Another export is being made."""

    status = 503
    code = "export_busy"


class TokenRefused(BackendError):  # noqa: N818 - as above
    """The caller's token of Label Studio is missing, or does not open the project. Not 401: that would ask for this service's log-in."""

    status = 403
    code = "label_studio_token"


@dataclass(frozen=True, slots=True)
class _NoImages:
    """Downloads hold masks alone: no address in a task is ever followed for them."""

    def get(self, image: TaskImage, task_id: int) -> ImageFile:
        raise ImageUnavailable("images are not fetched for downloads")


@dataclass(frozen=True)
class Downloads:
    """Makes exports for requests, one at a time.

    Args:
        settings: which Label Studio, and where temporary files go.
    """

    settings: Settings
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def coco(self, project_id: int, token: str | None, query: Mapping[str, str]) -> IO[bytes]:
        """A ZIP file of a COCO export with its report, open for reading; it is on no disk any more once it is closed.

        Args:
            project_id: whose masks.
            token: the caller's own token of Label Studio, which decides what the caller may see.
            query: ``source``, ``polygons``, ``tolerance`` and ``split``, as on the command line.

        Raises:
            BadRequest: the query cannot be used.
            TokenRefused: no token, or Label Studio refuses it.
            ExportBusy: another export is being made.
            LabelStudioError: Label Studio does not answer, or has no such project.
        """
        if self.settings.label_studio_url is None:
            raise BadRequest("this service has no Label Studio to export from; set LABEL_STUDIO_URL")
        if not token:
            raise TokenRefused(f"send a token of your own for Label Studio in the header {TOKEN_HEADER}; it decides what you may download")
        options, splits = _read_query(query)
        client = LabelStudioClient(self.settings.label_studio_url, token)
        if not self._turn.acquire(blocking=False):
            raise ExportBusy("another export is being made; try again when it is done")
        try:
            return self._make(client, project_id, options, splits)
        except LabelStudioRefused as error:
            if error.http_status in (401, 403):
                raise TokenRefused(f"Label Studio refuses the token in {TOKEN_HEADER}: {error}") from error
            raise
        finally:
            self._turn.release()

    def _make(self, client: LabelStudioClient, project_id: int, options: dict[str, Any], splits: Splits) -> IO[bytes]:
        project = client.project(project_id)
        scratch = self.settings.data_dir / "exports"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as name:
            folder = Path(name)
            tasks = folder / "tasks.jsonl"
            fetch_tasks(client, project_id, tasks, pauses=_SECONDS_BETWEEN_ATTEMPTS, max_bytes=MOST_TASK_BYTES)
            convert = ConvertOptions(
                scheme_of_project(str(project.get("label_config")), tasks), max_pixels=self.settings.image_max_pixels, **options
            )
            info = {"description": f"Label Studio project {project_id}", "contributor": "wordmask"}
            job = ExportJob(tasks, convert, folder / "export", _NoImages(), splits, sizes="regions", info=info)
            run_export(job)
            return _zipped(folder / "export", folder / "export.zip")


def _read_query(query: Mapping[str, str]) -> tuple[dict[str, Any], Splits]:
    unknown = set(query) - {"source", "polygons", "tolerance", "split"}
    if unknown:
        raise BadRequest(f"unknown parameter {min(unknown)!r:.60}; known are source, polygons, tolerance, split")
    source, polygons = query.get("source", "annotations"), query.get("polygons", "false")
    if source not in ("annotations", "predictions", "both") or polygons not in ("true", "false"):
        raise BadRequest("expected source=annotations, predictions or both, and polygons=true or false")
    try:
        tolerance = float(query.get("tolerance", "0"))
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance <= 100:
        raise BadRequest("expected tolerance to be a number of pixels from 0 to 100")
    shares = parse_shares(query["split"]) if "split" in query else ()
    return {"source": source, "polygons": polygons == "true", "tolerance": tolerance}, Splits(None, shares)


def _zipped(folder: Path, path: Path) -> IO[bytes]:
    """The files of a folder as a ZIP file, the same bytes for the same files; open for reading."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, date_time=_ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with file.open("rb") as content, archive.open(entry, "w", force_zip64=True) as target:
                while block := content.read(_COPIED):
                    target.write(block)
    return path.open("rb")
