"""One file over HTTP: continued where it stopped, checked before it gets its name, and never half there under that name.

What arrives goes into ``NAME.IDENTITY.partial``, where IDENTITY tells versions of the file at its source apart (its ETag), so that a
download is only ever continued with bytes of the same file.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from backend.checkpoints.errors import CheckpointError, Interrupted, NoSpace, NotWeights, SourceUnavailable, WrongFile
from backend.checkpoints.store import PARTIAL_SUFFIX, digest_of

Report = Callable[[int, int | None], None]
"""Called with the bytes that are there and, where known, how many there will be."""

PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each further attempt after a broken connection."""

SPARE_BYTES = 100 * 2**20
"""Left free on the disk."""

_CHUNK = 2**20
_TIMEOUT = (10.0, 60.0)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file and what is known of it."""

    url: str
    size: int | None = None
    sha256: str | None = None


def download(wanted: Wanted, target: Path, *, check: Callable[[Path], None], report: Report, pauses: tuple[float, ...] = PAUSES) -> str:
    """Fetch a file, or what is still missing of it.

    Args:
        wanted: where it is, and what is known of it.
        target: its final path; the folder is made.
        check: raises when the content cannot be used; called before the file gets its name.
        report: is told the progress.
        pauses: seconds before each further attempt.

    Returns:
        the SHA-256 of the file.

    Raises:
        CheckpointError: by kind; after :class:`Interrupted` and :class:`NoSpace` the partial file stays and is continued next time,
            after any other nothing of it is left.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = _transfer_stubbornly(wanted, target, report, pauses)
    except OSError as error:
        raise CheckpointError(f"{target.parent} cannot be written: {error.strerror or error}; set WORDMASK_CHECKPOINT_DIR") from error
    try:
        digest = _check_identity(partial, wanted)
        check(partial)
    except CheckpointError:
        partial.unlink()
        raise
    partial.replace(target)
    return digest


def _check_identity(partial: Path, wanted: Wanted) -> str:
    size = partial.stat().st_size
    if wanted.size is not None and size != wanted.size:
        raise WrongFile(f"{wanted.url} gave {size:,} bytes, expected {wanted.size:,}: the file there is cut short or another one")
    digest = digest_of(partial)
    if wanted.sha256 is not None and digest != wanted.sha256:
        raise WrongFile(
            f"what came from {wanted.url} has SHA-256 {digest}, expected {wanted.sha256}: it was damaged on the way or is another file"
        )
    return digest


def _transfer_stubbornly(wanted: Wanted, target: Path, report: Report, pauses: tuple[float, ...]) -> Path:
    """Continue after a broken connection; where nothing has come yet, nothing is tried again."""
    for pause in pauses:
        try:
            return _transfer(wanted, target, report)
        except Interrupted:
            if not any(_partials(target)):
                raise
            time.sleep(pause)
    return _transfer(wanted, target, report)


def _transfer(wanted: Wanted, target: Path, report: Report) -> Path:
    """Bring the partial file to its full length."""
    with requests.Session() as session:
        with _ask(session, wanted.url, {}) as answer:
            total = _length(answer) or wanted.size
            if wanted.size is not None and total != wanted.size:
                raise WrongFile(
                    f"{wanted.url} offers {total:,} bytes, expected {wanted.size:,}: the file there is cut short or another one"
                )
            partial, have = _partial_of(answer, target, total)
            _require_space(partial, (total or 0) - have)
            if have and have == total:
                return partial
            if not have:
                _write(answer, partial, 0, total, report)
                return partial
        with _ask(session, wanted.url, {"Range": f"bytes={have}-"}) as answer:
            goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            _write(answer, partial, have if goes_on else 0, total, report)
    return partial


def _partial_of(answer: requests.Response, target: Path, total: int | None) -> tuple[Path, int]:
    """The partial file of what the server has now, and how much of it is there; those of other versions are removed."""
    identity = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    digest = hashlib.sha256(f"{identity} {total}".encode()).hexdigest()[:8]
    partial = target.with_name(f"{target.name}.{digest}{PARTIAL_SUFFIX}")
    for other in _partials(target):
        if other != partial:
            other.unlink()
    have = partial.stat().st_size if partial.exists() else 0
    if identity is None or (total is not None and have > total):
        partial.unlink(missing_ok=True)
        have = 0
    return partial, have


def _partials(target: Path) -> Iterator[Path]:
    """What earlier downloads of a file left, of any version."""
    return target.parent.glob(f"{glob.escape(target.name)}.*{PARTIAL_SUFFIX}")


def _ask(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    try:
        # identity: the length must be that of the file, and a part must be a part of it
        answer = session.get(url, headers={"Accept-Encoding": "identity", **headers}, stream=True, timeout=_TIMEOUT)
    except requests.exceptions.SSLError as error:
        raise SourceUnavailable(f"{url}: no secure connection ({error}); name your network's authority in REQUESTS_CA_BUNDLE") from error
    except requests.RequestException as error:
        raise Interrupted(
            f"no answer from {url} ({type(error).__name__}); is this machine connected, and is a proxy set in HTTPS_PROXY?"
        ) from error
    if answer.status_code not in (200, 206):
        answer.close()
        raise _refusal(answer.status_code, url)
    return answer


def _refusal(status: int, url: str) -> CheckpointError:
    if status >= 500 or status == 429:
        return Interrupted(f"{url} answered {status}: it is overloaded or broken; try again later")
    hint = {401: "it wants a login", 403: "it is not open to everybody", 404: "there is no such file"}.get(status, "not the file")
    return SourceUnavailable(f"{url} answered {status}: {hint}")


def _write(answer: requests.Response, partial: Path, have: int, total: int | None, report: Report) -> None:
    """Add the body to the first ``have`` bytes of the partial file."""
    file = None
    try:
        for chunk in answer.iter_content(_CHUNK):
            if file is None:
                if have == 0:
                    _require_weights(chunk, answer.url)
                file = partial.open("ab" if have else "wb")
            file.write(chunk)
            have += len(chunk)
            report(have, total)
    except requests.RequestException as error:
        raise _broken_off(answer.url, have, total) from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise NoSpace(
                f"the disk of {partial.parent} filled up at {have:,} bytes; free some space and run the same command again"
            ) from error
        raise
    finally:
        if file is not None:
            file.close()
    if total is not None and have < total:
        raise _broken_off(answer.url, have, total)
    if file is None:
        raise NotWeights(f"{answer.url} answered with an empty body")


def _broken_off(url: str, have: int, total: int | None) -> Interrupted:
    whole = f" of {total:,}" if total else ""
    return Interrupted(f"the connection to {url} broke off at {have:,}{whole} bytes; the same command continues there")


def _require_weights(start: bytes, url: str) -> None:
    """PyTorch's files are zip archives or, old ones, pickles; what comes instead is named."""
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return
    text = start[:512].lstrip().lower()
    if text.startswith(b"<"):
        kind = "a web page, not weights: a login, a proxy or a captive portal stands in between"
    elif text.startswith(b"version https://git-lfs"):
        kind = "a Git LFS pointer, not the file it points to"
    elif text.startswith(b"{"):
        kind = "JSON, probably an error message, not weights"
    else:
        kind = f"something that begins with {start[:8]!r}, not a PyTorch file"
    raise NotWeights(f"{url} gave {kind}")


def _require_space(partial: Path, missing: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if missing + SPARE_BYTES > free:
        raise NoSpace(
            f"{partial.parent} has {free / 2**30:.1f} GiB free, {missing / 2**30:.1f} GiB are still to come; "
            "free some space, or set WORDMASK_CHECKPOINT_DIR to another disk"
        )


def _length(answer: requests.Response) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None
