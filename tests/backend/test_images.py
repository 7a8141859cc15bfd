from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from backend.errors import ImageUnavailable
from backend.images import ImageLoader, cache_name
from backend.label_studio import LabelStudioClient
from models import RgbImage
from tests.factories import make_data_uri, make_image, make_settings
from tests.local_http import LocalServer, Reply, Request, local_server

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def png(image: RgbImage) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


PICTURE = make_image((4, 6), (10, 20, 30))
OTHER = make_image((4, 6), (90, 20, 30))


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        yield running


def make_loader(tmp_path: Path, label_studio: LocalServer | None = None, **settings: Any) -> ImageLoader:
    """A loader that may fetch from loopback; ``label_studio`` acts as Label Studio."""
    client = LabelStudioClient(label_studio.url, TOKEN) if label_studio else None
    return ImageLoader(make_settings(tmp_path, **{"allowed_hosts": ("127.0.0.1",)} | settings), client)


def test_data_uri_is_decoded_without_any_network(tmp_path: Path) -> None:
    loaded = make_loader(tmp_path).load(make_data_uri(PICTURE), task_id=None)
    assert np.array_equal(loaded.rgb, PICTURE)
    assert loaded.size_hw == (4, 6)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("data:image/png;base64," + base64.encodebytes(png(PICTURE)).decode(), id="base64 with line ends"),
        pytest.param("data:image/png;base64," + quote(base64.b64encode(png(PICTURE))), id="escaped base64"),
        pytest.param("data:image/png," + quote(png(PICTURE)), id="escaped bytes"),
        pytest.param("  DATA:image/png;BASE64," + base64.b64encode(png(PICTURE)).decode(), id="capitals and spaces"),
    ],
)
def test_data_uri_may_be_written_in_several_ways(tmp_path: Path, uri: str) -> None:
    assert np.array_equal(make_loader(tmp_path).load(uri, task_id=None).rgb, PICTURE)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param("", "not an address", id="empty"),
        pytest.param("/etc/passwd", "not an address", id="bare path"),
        pytest.param("cats/1.png", "not an address", id="relative path"),
        pytest.param("file:///etc/passwd", "not an address", id="file URL"),
        pytest.param("ftp://example.com/a.png", "not an address", id="ftp"),
        pytest.param("ftp://user:secret@example.com/a.png?key=secret", "^'example.com/a.png' is not", id="secrets are not repeated"),
        pytest.param("//example.com/a.png", "not an address", id="no scheme"),
        pytest.param("javascript:alert(1)", "not an address", id="script"),
        pytest.param("http://[::1/a.png", "malformed", id="malformed"),
        pytest.param("http://localhost/a.png", "WORDMASK_ALLOWED_HOSTS", id="host that is not allowed"),
        pytest.param("data:image/png;base64", "no comma", id="data URI without data"),
        pytest.param("data:image/png;base64,a", "not valid base64", id="data URI with broken base64"),
        pytest.param("data:image/png;base64,", "empty", id="data URI of nothing"),
        pytest.param("data:image/svg+xml,<svg></svg>", "SVG drawing", id="data URI of a drawing"),
        pytest.param("/data/upload/1/a.png", "set LABEL_STUDIO_URL", id="upload without Label Studio"),
        pytest.param("s3://bucket/a.png", "set LABEL_STUDIO_URL", id="cloud without Label Studio"),
        pytest.param(["a.png"], "must be text, found list", id="list"),
        pytest.param(None, "must be text, found NoneType", id="nothing"),
    ],
)
def test_address_that_cannot_be_used_is_explained(tmp_path: Path, uri: Any, says: str) -> None:
    with pytest.raises(ImageUnavailable, match=says):
        make_loader(tmp_path).load(uri, task_id=1)


@pytest.mark.parametrize(
    "uri", [pytest.param("data:image/png;base64," + "A" * 136, id="base64"), pytest.param("data:image/png," + "A" * 101, id="plain")]
)
def test_huge_data_uri_is_refused_before_decoding(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ImageUnavailable, match="data: URI is larger than"):
        make_loader(tmp_path, image_max_bytes=100).load(uri, task_id=None)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        pytest.param("/data/upload/1/a.png", "/data/upload/1/a.png", id="upload"),
        pytest.param("/data/local-files/?d=sub/a.png", "/data/local-files/?d=sub/a.png", id="local file by path"),
        pytest.param("{url}/data/local-files/?d=sub/a.png", "/data/local-files/?d=sub/a.png", id="local file by address"),
        pytest.param(
            "/storage-data/uploaded/?filepath=upload/1/a.png", "/storage-data/uploaded/?filepath=upload/1/a.png", id="stored upload"
        ),
        pytest.param("s3://bucket/ü a.png", "/tasks/7/presign/?fileuri=czM6Ly9idWNrZXQvw7wgYS5wbmc=", id="S3"),
        pytest.param("gs://b/a.png", "/tasks/7/presign/?fileuri=Z3M6Ly9iL2EucG5n", id="Google"),
        pytest.param("azure-blob://b/a.png", "/tasks/7/presign/?fileuri=YXp1cmUtYmxvYjovL2IvYS5wbmc=", id="Azure"),
    ],
)
def test_files_of_label_studio_are_fetched_with_its_token(tmp_path: Path, server: LocalServer, uri: str, path: str) -> None:
    server.routes[path.partition("?")[0]] = Reply(200, png(PICTURE))
    loader = make_loader(tmp_path, server, allowed_hosts=())
    assert np.array_equal(loader.load(uri.format(url=server.url), task_id=7).rgb, PICTURE)
    [request] = server.requests
    assert request.path == path
    assert request.headers["authorization"] == f"Token {TOKEN}"


def test_cloud_address_of_a_task_without_id_is_explained(tmp_path: Path, server: LocalServer) -> None:
    with pytest.raises(ImageUnavailable, match="has no id"):
        make_loader(tmp_path, server).load("s3://bucket/a.png", task_id=None)


def test_second_load_asks_nothing_while_the_file_is_fresh(tmp_path: Path, server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, png(PICTURE))
    for loader in (make_loader(tmp_path), make_loader(tmp_path)):  # the second stands for a restart
        loader.load(f"{server.url}/a.png", task_id=None)
    assert len(server.requests) == 1


def answer_versions(body: bytes, etag: str) -> Any:
    """A route that knows which version the client holds."""

    def route(request: Request) -> Reply:
        is_known = request.headers.get("if-none-match") == etag
        return Reply(304 if is_known else 200, b"" if is_known else body, {"ETag": etag})

    return route


@pytest.fixture
def _never_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.images.FRESH_SECONDS", 0.0)


@pytest.mark.usefixtures("_never_fresh")
def test_older_file_is_asked_for_and_sent_only_when_it_changed(tmp_path: Path, server: LocalServer) -> None:
    loader = make_loader(tmp_path)
    server.routes["/a.png"] = answer_versions(png(PICTURE), '"1"')
    loader.load(f"{server.url}/a.png", task_id=None)
    assert np.array_equal(loader.load(f"{server.url}/a.png", task_id=None).rgb, PICTURE)
    assert server.requests[1].headers["if-none-match"] == '"1"'
    server.routes["/a.png"] = answer_versions(png(OTHER), '"2"')
    assert np.array_equal(loader.load(f"{server.url}/a.png", task_id=None).rgb, OTHER)


@pytest.mark.usefixtures("_never_fresh")
def test_file_that_may_no_longer_be_read_is_not_served_from_the_cache(tmp_path: Path, server: LocalServer) -> None:
    loader = make_loader(tmp_path)
    server.routes["/a.png"] = Reply(200, png(PICTURE), {"ETag": '"1"'})
    loader.load(f"{server.url}/a.png", task_id=None)
    server.routes["/a.png"] = Reply(403)
    with pytest.raises(ImageUnavailable, match="answered 403"):
        loader.load(f"{server.url}/a.png", task_id=None)


def test_error_page_is_not_remembered(tmp_path: Path, server: LocalServer) -> None:
    loader = make_loader(tmp_path)
    server.routes["/a.png"] = Reply(200, b"<html>please log in</html>")
    with pytest.raises(ImageUnavailable, match="web page came instead"):
        loader.load(f"{server.url}/a.png", task_id=None)
    server.routes["/a.png"] = Reply(200, png(PICTURE))
    assert np.array_equal(loader.load(f"{server.url}/a.png", task_id=None).rgb, PICTURE)


def test_two_label_studios_never_share_an_upload(tmp_path: Path, server: LocalServer) -> None:
    with local_server() as other:
        server.routes["/data/upload/1/a.png"] = Reply(200, png(PICTURE))
        other.routes["/data/upload/1/a.png"] = Reply(200, png(OTHER))
        assert np.array_equal(make_loader(tmp_path, server).load("/data/upload/1/a.png", task_id=1).rgb, PICTURE)
        assert np.array_equal(make_loader(tmp_path, other).load("/data/upload/1/a.png", task_id=1).rgb, OTHER)


def test_new_signature_finds_the_file_that_an_old_one_fetched(tmp_path: Path, server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, png(PICTURE))
    loader = make_loader(tmp_path)
    for signature in ("one", "two"):
        loader.load(f"{server.url}/a.png?X-Amz-Date={signature}&X-Amz-Signature={signature}", task_id=None)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        pytest.param("?d=a.png", "?d=b.png", False, id="query chooses the file"),
        pytest.param("?sr=1&page=1", "?sr=2&page=1", False, id="short names mean nothing without a signature"),
        pytest.param("?X-Amz-Date=1&X-Amz-Signature=a", "?X-Amz-Date=2&X-Amz-Signature=b", True, id="S3"),
        pytest.param("?versionId=1&X-Amz-Signature=a", "?versionId=2&X-Amz-Signature=a", False, id="version of a signed file"),
        pytest.param("?GoogleAccessId=x&Expires=1&Signature=a", "?GoogleAccessId=x&Expires=2&Signature=b", True, id="Google"),
        pytest.param("?sv=1&sr=b&se=2&sp=r&sig=a", "?sv=1&sr=b&se=3&sp=r&sig=b", True, id="Azure"),
        pytest.param("?Policy=1&Signature=2&Key-Pair-Id=3", "?Policy=4&Signature=5&Key-Pair-Id=3", True, id="CloudFront"),
    ],
)
def test_only_what_signs_an_address_is_left_out_of_its_name(first: str, second: str, is_same: bool) -> None:
    assert (cache_name("https://host/a.png" + first) == cache_name("https://host/a.png" + second)) is is_same


def test_threads_share_a_loader(tmp_path: Path, server: LocalServer) -> None:
    for number in range(8):
        server.routes[f"/{number}.png"] = Reply(200, png(make_image((4, 6), (number, 0, 0))))
    loader, found = make_loader(tmp_path), {}

    def load(number: int) -> None:
        found[number] = int(loader.load(f"{server.url}/{number}.png", task_id=number).rgb[0, 0, 0])

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(8)}
