"""Where Label Studio finds the image of an imported task: uploaded to it, at a web address, or among its local files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

from backend.errors import BadRequest, LabelStudioError
from backend.label_studio import LabelStudioClient
from backend.label_studio_errors import RETRY_SECONDS, with_retries


class ImageAddresses(Protocol):
    """Gives each image an address that Label Studio can show."""

    def address(self, name: str, file: Path | None) -> str:
        """The address of an image.

        Args:
            name: path of the file in the source.
            file: where it is on this machine, if it is.
        """


@dataclass(frozen=True, slots=True)
class WebAddresses:
    """Files that a web server has under one address."""

    prefix: str

    def address(self, name: str, file: Path | None) -> str:
        """The prefix and the name."""
        return f"{self.prefix.rstrip('/')}/{quote(name)}"


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Files in a folder that Label Studio serves itself; the project needs a storage "Local files" of that folder."""

    folder: str

    def address(self, name: str, file: Path | None) -> str:
        """The address by which Label Studio serves it."""
        return "/data/local-files/?" + urlencode({"d": f"{self.folder.strip('/')}/{name}".lstrip("/")}, safe="/")


@dataclass(frozen=True, slots=True)
class Uploads:
    """Files that are uploaded to Label Studio, one by one."""

    client: LabelStudioClient
    project: int
    pauses: Sequence[float] = RETRY_SECONDS

    def address(self, name: str, file: Path | None) -> str:
        """Upload a file.

        Raises:
            LabelStudioError: it was refused, or there is no answer.
            OSError: the file cannot be read.
        """
        assert file is not None, "uploads are for files of this machine"
        upload = partial(self._upload, Path(name).name, file.read_bytes())
        return with_retries(upload, self.pauses)

    def _upload(self, name: str, body: bytes) -> str:
        # Not committed: a task of this file alone would have neither regions nor the key that keeps it from coming in twice.
        path = f"/api/projects/{self.project}/import"
        answer = self.client.request("POST", path, files={"file": (name, body)}, params={"commit_to_project": "false"})
        try:
            (upload,) = answer["file_upload_ids"]
            stored = self.client.get(f"/api/import/file-upload/{upload}")["file"]
        except (KeyError, TypeError, ValueError) as error:
            raise LabelStudioError(f"Label Studio did not say where it put {name}; expected file_upload_ids in its answer") from error
        return f"/data/{stored}"


def check_web_prefix(prefix: str) -> str:
    """Raise ``BadRequest`` unless files can have an address under ``prefix``."""
    parts = urlsplit(prefix)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadRequest(f"--image-url must be an address that image names can follow, as in https://example.com/images, found {prefix!r}")
    return prefix
