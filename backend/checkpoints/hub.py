"""What a repository of the model hub holds, asked of its API, which also tells the SHA-256 of large files."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import quote

import requests

from backend.checkpoints.errors import SourceUnavailable

HUB = "https://huggingface.co"
_TIMEOUT = (10.0, 30.0)
_MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    path: str
    size: int | None
    sha256: str | None
    """Known of files that the hub keeps outside git, as all weights are."""


def list_files(repository: str, revision: str, pattern: str, base: str = HUB) -> list[HubFile]:
    """The files of a repository whose path matches a pattern such as ``*.pth``, in order.

    Args:
        repository: ``owner/name``.
        revision: branch, tag or commit.
        pattern: as of a shell; ``*`` crosses folders.
        base: address of the hub or of a mirror with its paths.

    Raises:
        SourceUnavailable: there is no answer, or none that can be read.
    """
    url: str | None = f"{base}/api/models/{repository}/tree/{quote(revision, safe='')}?recursive=true"
    entries: list[object] = []
    for _ in range(_MOST_PAGES):
        if url is None:
            break
        page, url = _page(url)
        entries += page
    found = [_file_of(entry) for entry in entries if isinstance(entry, dict) and entry.get("type") == "file"]
    return sorted((file for file in found if fnmatchcase(file.path, pattern)), key=lambda file: file.path)


def file_url(repository: str, revision: str, path: str, base: str = HUB) -> str:
    """Address of a file's content."""
    return f"{base}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"


def _page(url: str) -> tuple[list[object], str | None]:
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        answer.raise_for_status()
        entries = answer.json()
    except requests.HTTPError as error:
        raise SourceUnavailable(f"{url} answered {error.response.status_code}: the repository cannot be listed") from error
    except (requests.RequestException, ValueError) as error:
        raise SourceUnavailable(f"no list of files from {url} ({type(error).__name__}); is this machine connected?") from error
    if not isinstance(entries, list):
        raise SourceUnavailable(f"{url} answered with {type(entries).__name__}, expected a list of files")
    return entries, answer.links.get("next", {}).get("url")


def _file_of(entry: dict[str, object]) -> HubFile:
    large = entry.get("lfs")
    digest = large.get("oid") if isinstance(large, dict) else None
    size = entry.get("size")
    return HubFile(str(entry.get("path", "")), size if isinstance(size, int) else None, digest if isinstance(digest, str) else None)
