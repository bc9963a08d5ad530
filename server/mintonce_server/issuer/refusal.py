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

_TRY_DIALECT: Final = 'If the issuer expects the other kind of body, set its request = "form" or "json".'
_TRY_URL: Final = "Check the issuer's token_url: its path is often /oauth/token, /oauth2/token or /connect/token."

_BY_CODE: Final[Mapping[str, str]] = {
    "invalid_client": "Check the client_id and the secret, key or certificate, and that the issuer's auth "
    "(client_secret_post, client_secret_basic, private_key_jwt, tls_client_auth) is the method that the client is "
    "registered with.",
    "invalid_grant": "Check at the issuer that this client may use the client_credentials grant, and is enabled.",
    "unauthorized_client": "Allow the client_credentials grant for this client at the issuer.",
    "unsupported_grant_type": "Enable the client_credentials grant at the issuer. " + _TRY_DIALECT,
    "invalid_scope": "Request only scopes that the issuer knows and allows for this client.",
    "invalid_target": "Register the audience at the issuer, or set its audience_parameter (RFC 8707: resource).",
    "access_denied": "Check the client_id and the secret, and authorize the client for this audience at the issuer.",
    "invalid_request": "Check the audience and the extra claims of the client. " + _TRY_DIALECT,
}
_BY_STATUS: Final[Mapping[int, str]] = {
    400: "Check the client's audience, scopes and extra claims. " + _TRY_DIALECT,
    401: "Check the client_id and the secret, and the issuer's auth. " + _TRY_DIALECT,
    403: "Check at the issuer that the client is authorized for this audience. A firewall may also be the cause.",
    404: _TRY_URL,
    405: _TRY_URL,
    406: _TRY_URL,
    407: "The proxy requires credentials: put them into the issuer's proxy URL.",
    410: _TRY_URL,
    413: "The request is too large for the issuer: shorten the client's extra claims.",
    415: _TRY_DIALECT,
    421: _TRY_URL,
    422: _TRY_DIALECT,
}


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer without a token: the issuer's host, the status, and the error code ("" for none)."""

    issuer: str
    status: int
    code: str

    @property
    def is_of_client(self) -> bool:
        """Whether the client's authentication was refused (RFC 6749, section 5.2). A 401 counts with any code."""
        return self.status == 401 or (self.status == 400 and self.code == "invalid_client")

    def __str__(self) -> str:
        return f"{self.issuer} answered {self.status}" + (f" ({self.code})" if self.code else "")


def refusal(refused: Refused, headers: Mapping[str, str], now_unix: float) -> IssuerError:
    """The error for an answer without a token. Header names are lower case."""
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
            remedy="Wait: live tokens are served meanwhile. See the issuer's status page if it lasts.",
            retry_after=retry_after(headers, now_unix),
            issuer_error=code,
        )
    if 400 <= status < 500:
        pause = retry_after(headers, now_unix) or REFUSED_FOR
        error = IssuerRefused(str(refused), remedy=_remedy(status, code), retry_after=pause, issuer_error=code)
        error.of_client = refused.is_of_client
        return error
    if 300 <= status < 400:
        return IssuerMalformed(
            f"{refused}: a redirect, which is not followed because the secret would be sent along",
            remedy="Set token_url to the address that the issuer redirects to, if you trust it.",
        )
    return IssuerMalformed(f"{refused}: not a status of a token response (200)", remedy=_TRY_URL)


def _remedy(status: int, code: str) -> str:
    # The code says more than the status, except for 415, which is always about the body.
    if status != 415 and code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status, "Look up the status and the error code in the issuer's documentation. " + _TRY_URL)


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
    return None if date is None else _clamped(date - _issuers_now(headers, now_unix))


def rate_limit_reset(headers: Mapping[str, str], now_unix: float) -> float | None:
    """Seconds, clamped, from a header such as X-RateLimit-Reset, or None.

    Some issuers count from now, others from 1970, in seconds or in milliseconds.
    """
    now = _issuers_now(headers, now_unix)
    found = [number for name in _RESETS for number in _numbers(headers.get(name, ""))]
    return _clamped(max(_from_now(number, now) for number in found)) if found else None


def _numbers(text: str) -> list[float]:
    """The values of a header that was sent once or more, or none if one of them is not a number."""
    parts = [part.strip() for part in text.split(",")]
    return [float(part) for part in parts] if all(_DECIMAL.fullmatch(part) for part in parts) else []


def _from_now(reset: float, now: float) -> float:
    if reset >= _SINCE_1970_MS:
        reset /= 1000
    return reset - now if reset >= _SINCE_1970 else reset


def _issuers_now(headers: Mapping[str, str], now_unix: float) -> float:
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
