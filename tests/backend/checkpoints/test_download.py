"""A download is whole under its name, or is not there; and what broke off goes on."""

from __future__ import annotations

import hashlib
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.checkpoints.download import Wanted, download
from backend.checkpoints.errors import CheckpointError, Interrupted, NoSpace, NotWeights, SourceUnavailable, WrongFile
from tests.backend.checkpoints.sources import PublishedFile, without_length
from tests.local_http import LocalServer, Reply, local_server

CONTENT = b"PK\x03\x04" + random.Random(0).randbytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = b"PK\x03\x04" + random.Random(1).randbytes(3_000_000)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        yield running


class Download:
    """One download into a folder, run as often as a test likes."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.url = f"{server.url}/weights.pth"
        self.folder = folder
        self.target = folder / "weights.pth"
        self.reported: list[tuple[int, int | None]] = []

    def __call__(
        self,
        size: int | None = len(CONTENT),
        sha256: str | None = DIGEST,
        check: Callable[[Path], None] = lambda path: None,
        pauses: tuple[float, ...] = (),
    ) -> str:
        wanted = Wanted(self.url, size, sha256)
        return download(wanted, self.target, check=check, report=lambda *now: self.reported.append(now), pauses=pauses)

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def fetch(server: LocalServer, tmp_path: Path) -> Download:
    return Download(server, tmp_path / "store")


def test_a_file_arrives_whole_and_its_progress_is_told(server: LocalServer, fetch: Download) -> None:
    server.routes["/weights.pth"] = PublishedFile(CONTENT)
    assert fetch() == DIGEST
    assert fetch.target.read_bytes() == CONTENT
    assert fetch.left == ["weights.pth"]
    assert fetch.reported[-1] == (len(CONTENT), len(CONTENT))
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_download_that_broke_off_goes_on_where_it_stopped(server: LocalServer, fetch: Download) -> None:
    source = server.routes["/weights.pth"] = PublishedFile(CONTENT, breaks_after=[2_000_000])
    with pytest.raises(Interrupted, match=r"broke off at .* of 3,000,004 bytes; the same command continues"):
        fetch()
    (partial,) = fetch.left
    assert partial.startswith("weights.pth.")
    assert partial.endswith(".partial")
    have = (fetch.folder / partial).stat().st_size
    assert have > 0
    assert fetch() == DIGEST
    assert fetch.left == ["weights.pth"]
    assert server.requests[-1].headers["range"] == f"bytes={have}-"
    assert source.sent[-1] == len(CONTENT) - have


def test_a_broken_connection_is_tried_again_at_once(server: LocalServer, fetch: Download) -> None:
    server.routes["/weights.pth"] = PublishedFile(CONTENT, breaks_after=[1_500_000, 10**9, 1_000_000])
    assert fetch(pauses=(0.0, 0.0)) == DIGEST


def test_a_server_without_parts_sends_the_whole_file_again(server: LocalServer, fetch: Download) -> None:
    server.routes["/weights.pth"] = PublishedFile(CONTENT, breaks_after=[2_000_000], ranges=False)
    with pytest.raises(Interrupted):
        fetch()
    assert fetch() == DIGEST
    assert fetch.target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [pytest.param('"v2"', id="another ETag"), pytest.param(None, id="no ETag any more")])
def test_parts_of_two_versions_of_a_file_are_never_joined(server: LocalServer, fetch: Download, etag: str | None) -> None:
    server.routes["/weights.pth"] = PublishedFile(OTHER, breaks_after=[2_000_000])
    with pytest.raises(Interrupted):
        fetch(sha256=None)
    server.routes["/weights.pth"] = PublishedFile(CONTENT, etag=etag)
    assert fetch() == DIGEST
    assert fetch.left == ["weights.pth"]


def test_a_partial_file_that_is_whole_already_is_only_checked(server: LocalServer, fetch: Download) -> None:
    def refuse(path: Path) -> None:
        raise KeyboardInterrupt

    server.routes["/weights.pth"] = PublishedFile(CONTENT)
    with pytest.raises(KeyboardInterrupt):
        fetch(check=refuse)
    assert fetch() == DIGEST
    assert len(server.requests) == 2


def refuse_shape(path: Path) -> None:
    raise NotWeights("mlp.weight found (2, 3), expected (3, 2)")


@pytest.mark.parametrize(
    ("answer", "wanted", "kind", "message"),
    [
        pytest.param(
            Reply(200, b"\n<!DOCTYPE html><html>Sign in</html>"), {"size": None}, NotWeights, "a web page, not weights", id="HTML"
        ),
        pytest.param(
            Reply(200, b"version https://git-lfs.github.com/spec/v1\noid sha256:00"),
            {"size": None},
            NotWeights,
            "a Git LFS pointer",
            id="LFS",
        ),
        pytest.param(Reply(200, b'{"error": "rate limit"}'), {"size": None}, NotWeights, "JSON, probably an error message", id="JSON"),
        pytest.param(Reply(200, b"\x00" * 100), {"size": None}, NotWeights, "not a PyTorch file", id="zeros"),
        pytest.param(Reply(200, b""), {"size": None}, NotWeights, "an empty body", id="empty"),
        pytest.param(Reply(200, CONTENT[:-9]), {}, WrongFile, "offers 2,999,995 bytes, expected 3,000,004", id="cut short at its source"),
        pytest.param(without_length(CONTENT[:-9]), {}, Interrupted, "broke off at 2,999,995 of 3,000,004", id="cut short, no length told"),
        pytest.param(Reply(200, OTHER), {}, WrongFile, f"has SHA-256 [0-9a-f]{{64}}, expected {DIGEST}", id="corrupted"),
        pytest.param(Reply(200, CONTENT), {"check": refuse_shape}, NotWeights, r"found \(2, 3\), expected \(3, 2\)", id="wrong shape"),
        pytest.param(Reply(404, b"gone"), {}, SourceUnavailable, "answered 404: there is no such file", id="not found"),
        pytest.param(Reply(401, b"who?"), {}, SourceUnavailable, "answered 401: it wants a login", id="login"),
        pytest.param(Reply(503, b"later"), {}, Interrupted, "answered 503", id="overloaded"),
        pytest.param(
            Reply(200, b"", {"Content-Length": str(10**15)}, lambda send: None),
            {"size": None},
            NoSpace,
            "931322.6 GiB are still to come; free some space, or set WORDMASK_CHECKPOINT_DIR",
            id="no space",
        ),
    ],
)
def test_every_failure_has_its_own_error_and_leaves_nothing_under_the_files_name(
    server: LocalServer, fetch: Download, answer: Reply, wanted: dict[str, object], kind: type[CheckpointError], message: str
) -> None:
    server.routes["/weights.pth"] = answer
    with pytest.raises(kind, match=message) as failure:
        fetch(**wanted)  # type: ignore[arg-type]
    assert type(failure.value) is kind
    assert "\n" not in failure.value.message
    allowed = 1 if kind is Interrupted else 0
    assert len(fetch.left) <= allowed
    assert not fetch.target.exists()


def test_nobody_at_the_address_is_told_without_waiting(server: LocalServer, fetch: Download) -> None:
    fetch.url = "http://127.0.0.1:1/weights.pth"
    with pytest.raises(Interrupted, match=r"no answer from http://127\.0\.0\.1:1/weights\.pth .*is this machine connected"):
        fetch(pauses=(60.0,))
    assert fetch.left == []


def test_a_disk_that_fills_up_keeps_what_came_and_the_next_run_goes_on(server: LocalServer, fetch: Download) -> None:
    server.routes["/weights.pth"] = PublishedFile(CONTENT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, hard))
    try:
        with pytest.raises(NoSpace, match=r"the disk of .* filled up .*; free some space and run the same command again"):
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (partial,) = fetch.left
    assert partial.endswith(".partial")
    assert fetch() == DIGEST


def test_a_folder_that_cannot_be_made_is_named(server: LocalServer, tmp_path: Path) -> None:
    server.routes["/weights.pth"] = PublishedFile(CONTENT)
    (tmp_path / "store").write_text("a file")
    with pytest.raises(CheckpointError, match=r"store cannot be written: .*; set WORDMASK_CHECKPOINT_DIR"):
        Download(server, tmp_path / "store")()
