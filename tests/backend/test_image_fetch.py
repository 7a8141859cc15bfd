from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.errors import ImageUnavailable
from backend.host_rules import HostRules
from backend.http_get import _tls_context
from backend.image_fetch import Fetcher, Validators, display_url
from backend.label_studio import LabelStudioClient
from backend.label_studio_auth import origin_of
from tests.local_http import LocalServer, Reply, Request, local_server

LOOPBACK = HostRules(allowed=("127.0.0.1",))
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        yield running


def make_fetcher(
    rules: HostRules = LOOPBACK, label_studio: LabelStudioClient | None = None, *, seconds: float = 5, max_bytes: int = 100_000
) -> Fetcher:
    return Fetcher(rules, label_studio, seconds=seconds, max_bytes=max_bytes)


def studio_fetcher(server: LocalServer, token: str = TOKEN) -> Fetcher:
    """A fetcher whose Label Studio is ``server``, and which may ask no other host."""
    return make_fetcher(HostRules(label_studio=origin_of(server.url)), LabelStudioClient(server.url, token))


def redirect(target: str) -> Reply:
    return Reply(302, headers={"Location": target})


def drip(piece: bytes, pause: float, count: int) -> Callable[[Callable[[bytes], None]], None]:
    """Send ``piece`` ``count`` times with pauses between."""

    def write(send: Callable[[bytes], None]) -> None:
        for _ in range(count):
            send(piece)
            time.sleep(pause)

    return write


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes, float], str]]:
    """Answers every connection with the given bytes, one at a time with pauses: what no HTTP library would send."""
    listeners: list[socket.socket] = []

    def start(answer: bytes, pause: float = 0.0) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    for start_ in range(len(answer)) if pause else [0]:
                        connection.sendall(answer[start_ : start_ + 1] if pause else answer)
                        time.sleep(pause)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"

    yield start
    for listener in listeners:
        listener.close()


def test_file_arrives_with_its_validators(server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, b"bytes", {"ETag": '"1"', "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"})
    fetched = make_fetcher().fetch(f"{server.url}/a.png")
    assert fetched.body == b"bytes"
    assert fetched.validators == Validators('"1"', "Sat, 21 Nov 2026 00:00:00 GMT")


def test_unchanged_file_is_not_sent_again(server: LocalServer) -> None:
    server.routes["/a.png"] = lambda request: Reply(304 if request.headers.get("if-none-match") == '"1"' else 200, b"")
    assert make_fetcher().fetch(f"{server.url}/a.png", Validators('"1"')).body is None


def test_spaces_and_letters_of_other_alphabets_are_escaped(server: LocalServer) -> None:
    server.routes["/m%C3%BCll%20a.png"] = Reply(200, b"bytes")
    assert make_fetcher().fetch(f"{server.url}/müll a.png?d=ü b").body == b"bytes"
    assert server.requests[0].path == "/m%C3%BCll%20a.png?d=%C3%BC%20b"


def test_three_redirects_are_followed_and_a_fourth_is_not(server: LocalServer) -> None:
    server.routes |= {f"/{n}": redirect(f"/{n + 1}") for n in range(4)}
    server.routes["/4"] = Reply(200, b"bytes")
    assert make_fetcher().fetch(f"{server.url}/1").body == b"bytes"
    with pytest.raises(ImageUnavailable, match="more than 3 redirects"):
        make_fetcher().fetch(f"{server.url}/0")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        pytest.param("http://localhost:{port}/b", "images may not come from localhost", id="host that is not allowed"),
        pytest.param("http://169.254.169.254/latest/meta-data", "images may not come from 169", id="cloud metadata"),
        pytest.param("file:///etc/passwd", r"must be http\(s\)", id="file"),
        pytest.param("http://[::1/", "malformed", id="malformed"),
    ],
)
def test_redirect_is_checked_like_the_first_address(server: LocalServer, target: str, says: str) -> None:
    server.routes["/a"] = redirect(target.format(port=server.port))
    server.routes["/b"] = Reply(200, b"secret")
    with pytest.raises(ImageUnavailable, match=says):
        make_fetcher().fetch(f"{server.url}/a")
    assert [request.path for request in server.requests] == ["/a"]


def test_name_is_resolved_once_and_the_checked_address_is_connected_to(server: LocalServer) -> None:
    answers = iter([["127.0.0.1"], ["10.255.255.1"]])  # a name server that changes its mind between check and use
    rules = HostRules(allowed=("images.test",), resolve=lambda host, port: next(answers))
    server.routes["/a.png"] = Reply(200, b"bytes")
    assert make_fetcher(rules).fetch(f"http://images.test:{server.port}/a.png").body == b"bytes"
    assert server.requests[0].headers["host"] == f"images.test:{server.port}"


def test_next_address_is_tried_when_one_does_not_answer(server: LocalServer) -> None:
    rules = HostRules(allowed=("images.test",), resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    server.routes["/a.png"] = Reply(200, b"bytes")
    assert make_fetcher(rules).fetch(f"http://images.test:{server.port}/a.png").body == b"bytes"


def test_token_goes_to_label_studio_and_not_along_a_redirect(server: LocalServer) -> None:
    with local_server() as storage:
        storage.routes["/signed"] = Reply(200, b"bytes")
        server.routes["/tasks/3/presign/"] = redirect(f"{storage.url}/signed?X-Amz-Signature=s")
        client = LabelStudioClient(server.url, TOKEN)
        fetcher = make_fetcher(HostRules(allowed=("127.0.0.1",), label_studio=origin_of(server.url)), client)
        assert fetcher.fetch(f"{server.url}/tasks/3/presign/?fileuri=x").body == b"bytes"
        assert server.requests[0].headers["authorization"] == f"Token {TOKEN}"
        assert "authorization" not in storage.requests[0].headers


def test_refused_access_token_is_renewed_once(server: LocalServer) -> None:
    given: list[str] = []

    def refresh(_: Request) -> Reply:
        given.append(f"access-{len(given) + 1}")
        return Reply(200, b'{"access": "%s"}' % given[-1].encode())

    server.routes["/api/token/refresh/"] = refresh
    server.routes["/data/upload/1/a.png"] = lambda request: (
        Reply(200, b"bytes") if request.headers["authorization"] == "Bearer access-2" else Reply(401)
    )
    personal = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2ln"
    assert studio_fetcher(server, personal).fetch(f"{server.url}/data/upload/1/a.png").body == b"bytes"
    assert given == ["access-1", "access-2"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/data/upload/1/a.png", 401, "legacy token was refused", id="401"),
        pytest.param("/data/upload/1/a.png", 404, "import it again", id="upload gone"),
        pytest.param("/data/local-files/", 404, "Local Files storage", id="local file without storage"),
        pytest.param("/tasks/3/presign/", 404, "no storage of the task's project", id="cloud address without storage"),
    ],
)
def test_refusal_of_label_studio_says_what_to_do(server: LocalServer, path: str, status: int, says: str) -> None:
    server.routes[path] = Reply(status)
    with pytest.raises(ImageUnavailable, match=f"answered {status}: .*{says}") as caught:
        studio_fetcher(server).fetch(server.url + path)
    assert TOKEN not in caught.value.message


@pytest.mark.parametrize("status", [401, 403, 404, 500, 204])
def test_refusal_of_another_host_names_its_status_but_no_signature(server: LocalServer, status: int) -> None:
    server.routes["/a.png"] = Reply(status)
    with pytest.raises(ImageUnavailable, match=f"/a.png answered {status}") as caught:
        make_fetcher().fetch(f"{server.url}/a.png?X-Amz-Signature=secret")
    assert "secret" not in caught.value.message


def test_announced_size_over_the_limit_is_refused_at_once(server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, headers={"Content-Length": "99999999999"}, write=drip(b"x", 0.05, 100))
    started = time.monotonic()
    with pytest.raises(ImageUnavailable, match=r"larger than .* MiB.*WORDMASK_IMAGE_MAX_BYTES"):
        make_fetcher().fetch(f"{server.url}/a.png")
    assert time.monotonic() - started < 2


def test_endless_body_is_cut_at_the_limit(server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, write=drip(b"x" * 20_000, 0.0, 100_000))
    with pytest.raises(ImageUnavailable, match="larger than"):
        make_fetcher().fetch(f"{server.url}/a.png")


def test_body_that_trickles_is_cut_when_the_time_is_up(server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, headers={"Content-Length": "1000"}, write=drip(b"x", 0.05, 1000))
    started = time.monotonic()
    with pytest.raises(ImageUnavailable, match=r"did not arrive within 0\.5 s.*WORDMASK_IMAGE_TIMEOUT_SECONDS"):
        make_fetcher(seconds=0.5).fetch(f"{server.url}/a.png")
    assert time.monotonic() - started < 3


def test_body_without_length_is_not_taken_for_whole_when_the_time_is_up(server: LocalServer) -> None:
    server.routes["/a.png"] = Reply(200, write=drip(b"x", 0.05, 1000))
    with pytest.raises(ImageUnavailable, match="did not arrive within"):
        make_fetcher(seconds=0.5).fetch(f"{server.url}/a.png")


def test_headers_that_trickle_are_cut_when_the_time_is_up(raw_server: Callable[[bytes, float], str]) -> None:
    url = raw_server(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: yes\r\n" * 50, 0.05)
    started = time.monotonic()
    with pytest.raises(ImageUnavailable, match="did not arrive within"):
        make_fetcher(seconds=0.5).fetch(url)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "ended before the file did", id="cut body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "ended before|not HTTP", id="broken chunks"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "not HTTP", id="other protocol"),
        pytest.param(b"", "not HTTP|connection failed", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", "Content-Encoding 'gzip'", id="compressed"),
        pytest.param(b"HTTP/1.1 302 Found\r\n\r\n", "answered 302", id="redirect to nowhere"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\n\r\n", "answered 304", id="not modified without being asked"),
    ],
)
def test_odd_answers_become_a_reason(raw_server: Callable[..., str], answer: bytes, says: str) -> None:
    with pytest.raises(ImageUnavailable, match=says):
        make_fetcher().fetch(raw_server(answer))


def test_validators_that_could_break_a_header_are_dropped(raw_server: Callable[..., str]) -> None:
    url = raw_server(b'HTTP/1.1 200 OK\r\nETag: "a\r\n b"\r\nLast-Modified: \xff\r\nContent-Length: 1\r\n\r\nx')
    assert make_fetcher().fetch(url).validators == Validators(None, None)


def test_server_that_is_not_there_is_named() -> None:
    with local_server() as gone:
        url = gone.url
    with pytest.raises(ImageUnavailable, match="refused; does the server run"):
        make_fetcher().fetch(f"{url}/a.png")


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Serves ``/a.png`` over TLS with a certificate for ``images.test``, which is trusted."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the command openssl to make a certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=images.test"]
    command += ["-addext", "subjectAltName=DNS:images.test", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    _tls_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with local_server(context) as running:
        running.routes["/a.png"] = Reply(200, b"bytes")
        yield running
    _tls_context.cache_clear()


def test_certificate_is_checked_against_the_name_although_the_address_is_connected_to(tls_server: LocalServer) -> None:
    rules = HostRules(allowed=("*.test",), resolve=lambda host, port: ["127.0.0.1"])
    assert make_fetcher(rules).fetch(f"https://images.test:{tls_server.port}/a.png").body == b"bytes"
    with pytest.raises(ImageUnavailable, match="certificate is not trusted"):
        make_fetcher(rules).fetch(f"https://other.test:{tls_server.port}/a.png")


def test_body_that_trickles_over_tls_is_cut_when_the_time_is_up(tls_server: LocalServer) -> None:
    tls_server.routes["/a.png"] = Reply(200, headers={"Content-Length": "1000"}, write=drip(b"x", 0.05, 1000))
    rules = HostRules(allowed=("*.test",), resolve=lambda host, port: ["127.0.0.1"])
    started = time.monotonic()
    with pytest.raises(ImageUnavailable, match="did not arrive within"):
        make_fetcher(rules, seconds=0.5).fetch(f"https://images.test:{tls_server.port}/a.png")
    assert time.monotonic() - started < 3


def test_shown_address_has_no_user_no_query_and_a_bounded_length() -> None:
    assert display_url("https://user:pass@host:8/a.png?sig=1#x") == "https://host:8/a.png"
    assert len(display_url("https://host/" + "a" * 5000)) == 200
