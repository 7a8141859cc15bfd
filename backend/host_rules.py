"""Which hosts an image may be fetched from.

Task data is written by whoever can import tasks. Without rules it could make this service read what only this machine can reach: databases,
routers, the credentials that clouds hand out on a link-local address. So a name is resolved once, every address it has is checked, and the
caller connects to the checked addresses, not to the name.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from backend.errors import ImageUnavailable
from backend.label_studio_auth import origin_of

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
"""All that was ever given to the public internet; what older versions of Python call global beyond it may lead to this very machine."""

_CLOUD_SERVICES = [
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
]
"""Where clouds hand out credentials to the machines in them; two of these addresses look public."""


def resolve_host(host: str, port: int) -> list[str]:
    """All addresses of a host, without repeats. Raises ``OSError``, or ``ValueError`` for an impossible name."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


@dataclass(frozen=True, slots=True)
class HostRules:
    """The hosts that settings allow.

    Args:
        allowed: patterns such as ``*.example.com``, ``minio:9000`` or ``10.0.0.7``. If there are any, every other host is refused; a host
            that one of them names may have any address.
        allow_private: hosts may have private and loopback addresses without being named.
        label_studio: origin of Label Studio, always allowed; ``None`` when there is none.
        resolve: how names become addresses.
    """

    allowed: tuple[str, ...] = ()
    allow_private: bool = False
    label_studio: tuple[str, str, int | None] | None = None
    resolve: Resolver = resolve_host

    def addresses_of(self, url: str) -> Sequence[str]:
        """Addresses to connect to for ``url``, all of them checked.

        Raises:
            ImageUnavailable: the address of the image is malformed, or its host is unknown or must not be asked.
        """
        origin = _parse(url)
        _, host, port = origin
        is_named = any(fnmatchcase(host.rstrip("."), p) or fnmatchcase(f"{host.rstrip('.')}:{port}", p) for p in self.allowed)
        is_trusted = is_named or origin == self.label_studio
        if self.allowed and not is_trusted:
            raise ImageUnavailable(f"images may not come from {host}; add it to WORDMASK_ALLOWED_HOSTS to allow it")
        try:
            addresses = self.resolve(host, port)
        except (OSError, ValueError) as error:
            raise ImageUnavailable(
                f"the host {host} of the image is not known here; check the address and the DNS of this machine"
            ) from error
        if not is_trusted:
            for address in addresses:
                self._check(host, ipaddress.ip_address(address))
        return addresses

    def _check(self, host: str, address: IpAddress) -> None:
        if is_public(address) or (self.allow_private and not is_cloud_service(address)):
            return
        raise ImageUnavailable(
            f"{host} is not a public host, and images are not fetched from private addresses; "
            "if it is meant, name it in WORDMASK_ALLOWED_HOSTS (or set WORDMASK_ALLOW_PRIVATE_HOSTS=true)"
        )


def _parse(url: str) -> tuple[str, str, int]:
    try:
        scheme, host, port = origin_of(url)
        has_user = urlsplit(url).username is not None
    except ValueError as error:
        raise ImageUnavailable("the address of the image is malformed; it must be http(s)://host/path") from error
    if scheme not in ("http", "https") or not host or port is None:
        raise ImageUnavailable("an image's address must be http(s)://host/path with a valid port")
    if has_user:
        raise ImageUnavailable("a user name inside an image's address is not sent anywhere; use an address without one")
    return scheme, host, port


def is_public(address: IpAddress) -> bool:
    """Whether an address belongs to one host of the public internet, also when it wraps an IPv4 address."""
    address = _unwrapped(address)
    if isinstance(address, ipaddress.IPv6Address) and (address not in _GLOBAL_IPV6 or address.teredo is not None):
        return False
    return address.is_global and not address.is_multicast and not is_cloud_service(address)


def is_cloud_service(address: IpAddress) -> bool:
    """Whether a cloud may answer with secrets at this address, also when it wraps an IPv4 address."""
    return any(_unwrapped(address) in network for network in _CLOUD_SERVICES)


def _unwrapped(address: IpAddress) -> IpAddress:
    """The IPv4 address that is reached through an IPv6 address made of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
