"""Network addresses and URLs: what is loopback, who a gRPC peer is, URLs with several hosts."""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_HOST_AND_PORT: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")


def is_loopback(host: str) -> bool:
    """Whether the host can only be this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, not an address
        return host == "localhost"


def listens_beyond_loopback(listen: str) -> bool:
    """Whether other machines can reach a listen address (HOST:PORT or unix:/PATH)."""
    return not listen.startswith("unix:") and not is_loopback(listen.rpartition(":")[0].strip("[]"))


def normalized_ip(host: str) -> str | None:
    """An IP address in one spelling; an IPv4-mapped IPv6 address becomes IPv4. None if it is not an address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def address_of_peer(peer: str) -> tuple[str, int] | None:
    """IP address and port of a gRPC peer, such as ipv4:192.0.2.1:4711 or ipv6:%5B2001:db8::1%5D:4711.

    None for a Unix socket, whose peers have no address.
    """
    kind, _, rest = peer.partition(":")
    host, _, port = unquote(rest).rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdigit():
        return None
    address = normalized_ip(host.strip("[]"))
    return None if address is None else (address, int(port))


def network_of_peer(peer: str) -> str:
    """The network that one party can easily own: the /24 of an IPv4 address, the /64 of an IPv6 address, or `unix`."""
    address = address_of_peer(peer)
    if address is None:
        return "unix" if peer.startswith("unix") else "unknown"
    prefix = 64 if ":" in address[0] else 24
    return str(ipaddress.ip_network((address[0], prefix), strict=False))


def split_hosts_url(url: str) -> SplitResult:
    """Like `urlsplit`, but `netloc` may be a list of hosts (redis+sentinel://h1,h2:1,[::1]/SERVICE), not validated.

    Raises ValueError. Python versions with the fix of CVE-2025-0938 reject brackets in a list of hosts.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return urlsplit(url)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    return urlsplit(f"{scheme}://{rest[len(authority) :]}")._replace(netloc=authority)


def hosts_of(parts: SplitResult) -> list[str]:
    """The hosts of a URL, without user and password. Each may have a port."""
    return parts.netloc.rpartition("@")[2].split(",")


def read_address(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Raises ValueError."""
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None:
        raise ValueError("not an address")
    host = unquote(found["ipv6"] or found["name"])
    port = int(found["port"] or default_port)
    if found["ipv6"]:
        ipaddress.IPv6Address(host)
    elif ":" in host:
        raise ValueError("not an address")
    if not 0 < port < 65_536:
        raise ValueError("not a port")
    return host, port
