"""Whether a gRPC target stays on this host: only then may a bearer travel in clear."""

import ipaddress
from typing import Final

_UNIX: Final = ("unix:", "unix-abstract:")
_SCHEMES: Final = ("dns:", "ipv4:", "ipv6:")


def is_local(target: str) -> bool:
    """A Unix socket, `localhost`, or addresses of which each is loopback. What is not understood counts as remote."""
    if target.startswith(_UNIX):
        return True
    scheme = next((each for each in _SCHEMES if target.startswith(each)), "")
    # dns://SERVER/NAME names a name server that could be anywhere; dns:///NAME does not.
    rest = target.removeprefix(scheme).removeprefix("///")
    return bool(rest) and all(_is_loopback(address) for address in rest.split(","))


def _is_loopback(address: str) -> bool:
    host = _host(address)
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, which may lead anywhere


def _host(address: str) -> str:
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        return host if bracket and (not port or port.startswith(":")) else ""
    return address if address.count(":") > 1 else address.partition(":")[0]
