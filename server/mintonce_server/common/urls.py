"""URLs that name several hosts, such as redis+sentinel://h1,h2:1,[::1]/SERVICE."""

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_HOST_AND_PORT: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?")


def split_hosts_url(url: str) -> SplitResult:
    """As `urlsplit`, but `netloc` may hold a list of hosts, and is not checked. Raises ValueError.

    Pythons with the fix of CVE-2025-0938 refuse brackets in a list of hosts.
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
        IPv6Address(host)
    elif ":" in host:
        raise ValueError("not an address")
    if not 0 < port < 65_536:
        raise ValueError("not a port")
    return host, port
