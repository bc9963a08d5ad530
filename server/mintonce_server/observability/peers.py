"""The other end of a connection, from what gRPC calls it: ipv4:192.0.2.1:4711, ipv6:%5B2001:db8::1%5D:4711, unix:"""

import ipaddress
from urllib.parse import unquote


def address_of(peer: str) -> tuple[str, int] | None:
    """IP address and port; None for a Unix socket, whose peers have no address."""
    kind, _, rest = peer.partition(":")
    host, _, port = unquote(rest).rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdigit():
        return None
    address = normal(host.strip("[]"))
    return None if address is None else (address, int(port))


def network_of(peer: str) -> str:
    """What one party can easily be all of: the /24 of an IPv4 address, the /64 of an IPv6 address, or `unix`."""
    address = address_of(peer)
    if address is None:
        return "unix" if peer.startswith("unix") else "unknown"
    prefix = 64 if ":" in address[0] else 24
    return str(ipaddress.ip_network((address[0], prefix), strict=False))


def normal(host: str) -> str | None:
    """An IP address in one way of writing; an IPv4 address that IPv6 wraps, unwrapped. None if it is no address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
