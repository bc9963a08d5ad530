"""Counts HTTP requests to issuers, and for callers' signing keys."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from mintonce_server.observability.metrics import OTHER, Metrics

MAX_ADDRESSES: Final = 64
"""More hosts than that, as only an issuer's changing metadata could name, count together."""
_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}

CountRequest = Callable[[str, str, int | None, float, Exception | None], None]
"""Method, URL, status (None without an answer), seconds, and what was raised."""


def ignore_request(*_: object) -> None:
    """Default: count nothing."""


class HttpMeter:
    """Is a CountRequest. Only scheme, host and port of a URL are used."""

    def __init__(self, metrics: Metrics) -> None:
        self._duration = metrics.mints.http_duration
        self._addresses: set[tuple[str, str]] = set()

    def __call__(self, method: str, url: str, status: int | None, seconds: float, error: Exception | None) -> None:
        parts = urlsplit(url)
        address = (parts.hostname or "", str(parts.port or _PORTS.get(parts.scheme, 0)))
        if address not in self._addresses:
            if len(self._addresses) >= MAX_ADDRESSES:
                address = (OTHER, "")
            else:
                self._addresses.add(address)
        kind = _kind(status, error)
        self._duration.labels(method, *address, str(status or ""), kind).observe(seconds)


def _kind(status: int | None, error: Exception | None) -> str:
    if error is not None:
        return "timeout" if isinstance(error, TimeoutError) else "connection"
    return str(status) if status is not None and status >= 400 else ""
