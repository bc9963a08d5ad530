"""What the headers of an issuer's answer say about its quotas. Pure; anything odd counts as not said.

Read are those of Auth0 (`Auth0-Client-Quota-Limit`, `Auth0-Organization-Quota-Limit`), which count tokens; and those
that count requests: `X-RateLimit-*`, Okta's `X-Rate-Limit-*`, `RateLimit-*` of older drafts, and `RateLimit` with
`RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from mintonce_server.core.quota import QuotaWindow
from mintonce_server.issuer.refusal import from_now, issuers_now

MAX_HEADER: Final = 512
"""Characters. A longer header is not read."""
MAX_WINDOWS: Final = 8
"""Windows of one answer. Further ones are dropped."""
MAX_NUMBER: Final = 2**53
MAX_RESET: Final = 366 * 86_400.0
"""Seconds. A window that ends later does not end."""

_TOKEN_QUOTAS: Final = {"auth0-client-quota-limit": "client", "auth0-organization-quota-limit": "organization"}
_RATE_LIMITS: Final = ("x-ratelimit", "x-rate-limit", "ratelimit")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_NUMBER = re.compile(r"[0-9]{1,16}")

# RFC 9651: an item of a list is a string or a token, with parameters. Escapes in strings are not needed by names.
# There is one way to match each text, so that no header takes long.
_PARAMETER = r'\s*;\s*[a-z*][a-z0-9_.*-]*(?:=(?:"[^"]*"|[^",;\s]+))?'
_ITEM = re.compile(rf'\s*(?:"([^"]{{1,64}})"|([A-Za-z*][\w.:/*+-]{{0,63}}))((?:{_PARAMETER})*)\s*(?:,|$)', re.A)
_INTEGER = re.compile(r";\s*([a-z*][a-z0-9_.*-]*)=([0-9]{1,16})\s*(?=;|$)")
_UNIT = re.compile(r';\s*qu="([^"]*)"')
_REQUESTS: Final = "requests"


def read_quota(headers: Mapping[str, str], now_unix: float) -> tuple[QuotaWindow, ...]:
    """The quotas in an answer, those that count tokens first. Header names are lower case.

    `now_unix`: used for a reset that is a point in time, if the answer has no Date.
    """
    found: dict[str, QuotaWindow] = {}
    for window in (*_token_quotas(headers), *_rate_limits(headers, now_unix), *_standard(headers)):
        if window.limit is not None or window.remaining is not None:
            found.setdefault(window.name, window)
    return tuple(found.values())[:MAX_WINDOWS]


def _token_quotas(headers: Mapping[str, str]) -> Iterator[QuotaWindow]:
    """`b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200`: bucket, quota, remaining, seconds to the reset."""
    for header, whose in _TOKEN_QUOTAS.items():
        for bucket in _text(headers, header).split(","):
            pairs = dict(_pair(part) for part in bucket.split(";"))
            if _NAME.fullmatch(name := pairs.get("b", "")):
                said = {key: _number(pairs.get(key, "")) for key in "qrt"}
                yield QuotaWindow(f"{whose} {name}", True, said["q"], said["r"], _reset(said["t"]))


def _rate_limits(headers: Mapping[str, str], now_unix: float) -> Iterator[QuotaWindow]:
    for prefix in _RATE_LIMITS:
        limit, remaining, reset = (
            _number(_text(headers, f"{prefix}-{part}").strip()) for part in ("limit", "remaining", "reset")
        )
        ends = None if reset is None else max(0.0, from_now(reset, issuers_now(headers, now_unix)))
        yield QuotaWindow(_REQUESTS, False, limit, remaining, _reset(ends))


def _standard(headers: Mapping[str, str]) -> Iterator[QuotaWindow]:
    """`RateLimit: "default";r=50;t=30`, and the limit of the policy of that name: `"default";q=100;w=60`."""
    policies = dict(_items(_text(headers, "ratelimit-policy")))
    for name, said in _items(_text(headers, "ratelimit")):
        yield QuotaWindow(
            f"{_REQUESTS} {name}", False, policies.get(name, {}).get("q"), said.get("r"), _reset(said.get("t"))
        )


def _items(text: str) -> Iterator[tuple[str, dict[str, int]]]:
    """The names in a list of structured fields, each with those parameters that are whole numbers.

    A list with a mistake has no items (RFC 9651, section 4.2). Other units than requests are left out.
    """
    items: list[tuple[str, dict[str, int]]] = []
    at = 0
    while at < len(text):
        if (item := _ITEM.match(text, at)) is None:
            return
        at = item.end()
        unit = _UNIT.search(item[3])
        if unit is None or unit[1] == _REQUESTS:
            numbers = {
                name: number for name, value in _INTEGER.findall(item[3]) if (number := _number(value)) is not None
            }
            items.append((item[1] or item[2], numbers))
    yield from items


def _text(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name, "")
    return text if len(text) <= MAX_HEADER and text.isascii() and text.isprintable() else ""


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip()


def _number(text: str) -> int | None:
    number = int(text) if _NUMBER.fullmatch(text) else MAX_NUMBER + 1
    return number if number <= MAX_NUMBER else None


def _reset(seconds: float | None) -> float | None:
    return float(seconds) if seconds is not None and seconds <= MAX_RESET else None
