"""Which proxy the usual variables of the environment name for a URL. Pure: it gets the environment."""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from mintonce_server.common.network import is_loopback

_PORTS: Final = {"https": 443, "http": 80}


class ProxyVariables:
    """HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in small or capital letters; small ones win.

    HTTP_PROXY counts only in small letters if REQUEST_METHOD is set: in a CGI program, a caller's header sets it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name.lower(): value for name, value in environ.items() if name.isupper()}
        self._environ |= {name: value for name, value in environ.items() if name.islower()}
        if "REQUEST_METHOD" in environ and "http_proxy" not in environ:
            self._environ.pop("http_proxy", None)

    def proxy_for(self, url: str) -> str | None:
        """The proxy's URL, or None for a direct connection. This machine needs no proxy."""
        parts = urlsplit(url)
        if is_loopback(parts.hostname or ""):
            return None
        proxy = self._environ.get(f"{parts.scheme}_proxy") or self._environ.get("all_proxy")
        port = parts.port or _PORTS.get(parts.scheme)
        if not proxy or _is_excluded(parts.hostname or "", port, self._environ.get("no_proxy", "")):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"


def _is_excluded(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host: exactly, by a parent domain, by an address or network, or as `*`."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(_matches(entry, host.lower(), port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if (address := _address(host)) is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # a name, or an address with a port
    name, separator, wanted = entry.rpartition(":")
    if separator and wanted.isascii() and wanted.isdecimal():
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    domain = entry.removeprefix("*").removeprefix(".").removesuffix(".")
    return host == domain or host.endswith(f".{domain}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
