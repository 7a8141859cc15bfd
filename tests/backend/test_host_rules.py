from __future__ import annotations

import ipaddress

import pytest

from backend.errors import ImageUnavailable
from backend.host_rules import HostRules, is_public

PUBLIC = "93.184.216.34"
STUDIO = ("http", "studio.internal", 8080)


def make_rules(*addresses: str, **fields: object) -> HostRules:
    """Rules under which every name has the given addresses."""
    return HostRules(resolve=lambda host, port: addresses or [PUBLIC], **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param(PUBLIC, True, id="public"),
        pytest.param("2606:2800:220:1::1", True, id="public IPv6"),
        pytest.param("127.0.0.1", False, id="loopback"),
        pytest.param("0.0.0.0", False, id="any address"),
        pytest.param("10.1.2.3", False, id="private"),
        pytest.param("100.64.0.1", False, id="carrier NAT"),
        pytest.param("169.254.169.254", False, id="cloud metadata"),
        pytest.param("224.0.0.251", False, id="multicast"),
        pytest.param("255.255.255.255", False, id="broadcast"),
        pytest.param("::1", False, id="IPv6 loopback"),
        pytest.param("fe80::1", False, id="IPv6 link-local"),
        pytest.param("fd00::1", False, id="IPv6 private"),
        pytest.param("::ffff:127.0.0.1", False, id="loopback mapped into IPv6"),
        pytest.param("64:ff9b::7f00:1", False, id="loopback behind NAT64"),
        pytest.param("2002:7f00:1::", False, id="loopback inside 6to4"),
        pytest.param("::ffff:93.184.216.34", True, id="public mapped into IPv6"),
        pytest.param("64:ff9b:1::7f00:1", False, id="loopback behind a local NAT64"),
        pytest.param("::7f00:1", False, id="loopback inside the oldest mapping"),
        pytest.param("::ffff:0:7f00:1", False, id="loopback behind a translator"),
        pytest.param("fec0::1", False, id="IPv6 site-local"),
        pytest.param("168.63.129.16", False, id="cloud service at a public address"),
        pytest.param("192.0.0.192", False, id="cloud service at a reserved address"),
    ],
)
def test_public_addresses_are_told_from_the_others(address: str, expected: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is expected


def test_public_host_is_asked_at_the_addresses_that_were_checked() -> None:
    assert make_rules(PUBLIC, "2606:2800:220:1::1").addresses_of("https://example.com/a.png") == (PUBLIC, "2606:2800:220:1::1")


def test_one_private_address_among_several_refuses_the_host() -> None:
    with pytest.raises(ImageUnavailable, match="not a public host"):
        make_rules(PUBLIC, "127.0.0.1").addresses_of("http://example.com/a.png")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost", "[::1]", "[::ffff:7f00:1]"])
def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(ImageUnavailable, match="not a public host"):
        HostRules().addresses_of(f"http://{host}/a.png")


@pytest.mark.parametrize(
    "pattern",
    ["minio.internal", "*.internal", "minio.internal:9000"],
)
def test_named_host_may_be_private(pattern: str) -> None:
    assert make_rules("10.0.0.7", allowed=(pattern,)).addresses_of("http://MINIO.internal:9000/a.png") == ("10.0.0.7",)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://example.com/a.png", id="other host"),
        pytest.param("http://minio.internal:9001/a.png", id="other port"),
        pytest.param("http://minio.internal.evil.com:9000/a.png", id="name inside another"),
    ],
)
def test_list_of_hosts_refuses_every_other(url: str) -> None:
    with pytest.raises(ImageUnavailable, match="WORDMASK_ALLOWED_HOSTS"):
        make_rules(allowed=("minio.internal:9000",)).addresses_of(url)


def test_label_studio_is_allowed_at_any_address_and_beside_any_list() -> None:
    rules = make_rules("127.0.0.1", allowed=("example.com",), label_studio=STUDIO)
    assert rules.addresses_of("http://studio.internal:8080/data/upload/1/a.png") == ("127.0.0.1",)


def test_other_port_on_the_host_of_label_studio_is_another_host() -> None:
    with pytest.raises(ImageUnavailable, match="not a public host"):
        make_rules("127.0.0.1", label_studio=STUDIO).addresses_of("http://studio.internal:6379/")


@pytest.mark.parametrize("address", ["10.0.0.7", "127.0.0.1", "fd00::1", "::ffff:10.0.0.7"])
def test_private_hosts_can_be_allowed_as_a_whole(address: str) -> None:
    assert make_rules(address, allow_private=True).addresses_of("http://anything/a.png") == (address,)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("169.254.169.254", id="link-local"),
        pytest.param("fe80::1", id="IPv6 link-local"),
        pytest.param("::ffff:169.254.169.254", id="mapped into IPv6"),
        pytest.param("64:ff9b::a9fe:a9fe", id="behind NAT64"),
        pytest.param("2002:a9fe:a9fe::1", id="inside 6to4"),
        pytest.param("fd00:ec2::254", id="IPv6 of one cloud"),
        pytest.param("100.100.100.200", id="carrier NAT of another"),
    ],
)
def test_where_clouds_keep_credentials_is_never_asked(address: str) -> None:
    with pytest.raises(ImageUnavailable, match="not a public host"):
        make_rules(address, allow_private=True).addresses_of("http://anything/latest/meta-data")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://example.com/a.png", id="ftp"),
        pytest.param("http:///a.png", id="no host"),
        pytest.param("http://example.com:99999/a.png", id="impossible port"),
        pytest.param("http://[::1/a.png", id="broken IPv6"),
        pytest.param("http://user:secret@example.com/a.png", id="user and password"),
    ],
)
def test_malformed_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ImageUnavailable) as caught:
        make_rules().addresses_of(url)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".com", "%00"])
def test_unknown_host_is_named(host: str) -> None:
    with pytest.raises(ImageUnavailable, match="not known here"):
        HostRules().addresses_of(f"http://{host}/a.png")
