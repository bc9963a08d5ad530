"""What an issuer's error response means: which error, when to retry, and what to do about it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from mintonce_server.core import text
from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.errors import IssuerError, IssuerMalformed, IssuerRefused, IssuerThrottled, IssuerUnavailable
from mintonce_server.issuer.remedies import TRY_URL, remedy, remedy_of_outage

REFUSED_FOR: Final = 30.0
"""Seconds without a retry after a refusal: long enough to correct the cause, short enough to notice the correction."""

RETRY_AFTER_MIN: Final = 1.0

_SINCE_1970: Final = 1e9
"""Numbers of seconds from here on are times since 1970, not pauses."""

_SINCE_1970_MS: Final = 1e11
"""Numbers from here on are in milliseconds."""

_DECIMAL = re.compile(r"[0-9]{1,300}(\.[0-9]*)?")

_RESETS: Final = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset")

_THROTTLED_CODES: Final = frozenset(
    {"slow_down", "too_many_requests", "too_many_attempts", "rate_limit_exceeded", "rate_limited", "quota_exceeded"}
)
_UNAVAILABLE_CODES: Final = frozenset({"temporarily_unavailable", "server_error"})

_ABOUT_THE_REQUEST: Final = frozenset(
    {"invalid_scope", "scope_invalid", "invalid_target", "invalid_request", "unsupported_grant_type", *_THROTTLED_CODES}
)
"""Codes of a refusal that another credential would not change."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer without a token.

    Attributes:
        issuer: the issuer's host.
        code: the error code, or "".
        said: see `explanation`.
        auth: the method with which the client authenticated.
        provider: the kind of server, or "".
    """

    issuer: str
    status: int
    code: str
    said: str = ""
    auth: str = ""
    provider: str = ""

    @property
    def may_be_of_credential(self) -> bool:
        """Whether another credential may be accepted.

        Servers refuse a secret in many ways: with 401 and any code, 403 and an empty body, 400 and invalid_client.
        """
        if self.status == 401:
            return True
        if self.status == 403:
            return self.code not in _ABOUT_THE_REQUEST | {"access_denied"}
        return self.status == 400 and self.code not in _ABOUT_THE_REQUEST

    @property
    def is_of_client(self) -> bool:
        """Whether the client's authentication was refused (RFC 6749, section 5.2). A 401 counts with any code."""
        return self.status == 401 or (self.status == 400 and self.code == "invalid_client")

    def __str__(self) -> str:
        return f"{self.issuer} answered {self.status}" + (f" ({self.code})" if self.code else "")


def refusal(refused: Refused, headers: Mapping[str, str], now_unix: float) -> IssuerError:
    """The error for an answer without a token. Header names are lower case."""
    error = _refusal(refused, headers, now_unix)
    error.said = refused.said
    return error


def _refusal(refused: Refused, headers: Mapping[str, str], now_unix: float) -> IssuerError:
    status, code = refused.status, refused.code
    if status == 429 or (400 <= status < 500 and code in _THROTTLED_CODES):
        return IssuerThrottled(
            f"{refused}: rate limited",
            remedy="Wait. If it happens often, raise the issuer's rate limit or quota, or use fewer keys.",
            retry_after=retry_after(headers, now_unix) or rate_limit_reset(headers, now_unix),
            issuer_error=code,
        )
    if 500 <= status < 600 or status == 408 or (400 <= status < 500 and code in _UNAVAILABLE_CODES):
        return IssuerUnavailable(
            f"{refused}: the issuer is unavailable",
            remedy=remedy_of_outage(refused.auth),
            retry_after=retry_after(headers, now_unix),
            issuer_error=code,
        )
    if 400 <= status < 500:
        pause = retry_after(headers, now_unix) or REFUSED_FOR
        what_to_do = remedy(status, code, refused.auth, refused.provider, refused.said)
        error = IssuerRefused(str(refused), remedy=what_to_do, retry_after=pause, issuer_error=code)
        error.of_client = refused.is_of_client
        return error
    if 300 <= status < 400:
        return IssuerMalformed(
            f"{refused}: a redirect, which is not followed because the secret would be sent along",
            remedy="Check the path in token_url: many servers redirect what they do not know to a login page. Or set "
            "it to the address that the issuer redirects to, if you trust it.",
        )
    return IssuerMalformed(f"{refused}: not a status of a token response (200)", remedy=TRY_URL)


def error_code(fields: Mapping[str, object]) -> str:
    """The `error` of an error response (RFC 6749, section 5.2) if it is a clean code, or ""."""
    code = fields.get("error")
    return text.error_code(code) if isinstance(code, str) else ""


def retry_after(headers: Mapping[str, str], now_unix: float) -> float | None:
    """Seconds, clamped, from a Retry-After in seconds or as a date (RFC 9110, section 10.2.3), or None.

    If a proxy has added another one, the longest counts.
    """
    text = headers.get("retry-after", "")
    if numbers := _numbers(text):
        return _clamped(max(numbers))
    date = http_date(text.strip())
    return None if date is None else _clamped(date - issuers_now(headers, now_unix))


def rate_limit_reset(headers: Mapping[str, str], now_unix: float) -> float | None:
    """Seconds, clamped, from a header such as X-RateLimit-Reset, or None.

    Some issuers count from now, others from 1970, in seconds or in milliseconds.
    """
    now = issuers_now(headers, now_unix)
    found = [number for name in _RESETS for number in _numbers(headers.get(name, ""))]
    return _clamped(max(from_now(number, now) for number in found)) if found else None


def _numbers(text: str) -> list[float]:
    """The values of a header that was sent once or more, or none if one of them is not a number."""
    parts = [part.strip() for part in text.split(",")]
    return [float(part) for part in parts] if all(_DECIMAL.fullmatch(part) for part in parts) else []


def from_now(reset: float, now: float) -> float:
    """Seconds until a reset that is given in seconds, or as a time since 1970. Negative if it is past."""
    if reset >= _SINCE_1970_MS:
        reset /= 1000
    return reset - now if reset >= _SINCE_1970 else reset


def issuers_now(headers: Mapping[str, str], now_unix: float) -> float:
    """The issuer's times are on its own clock, so they are compared with its Date header if there is one."""
    sent = http_date(headers.get("date", ""))
    return now_unix if sent is None else sent


def _clamped(seconds: float) -> float:
    return min(max(seconds, RETRY_AFTER_MIN), LONGEST_ASKED)


def http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date, or None."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # what email.utils raises for malformed input
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
