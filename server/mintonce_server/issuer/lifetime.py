"""How long a token lives, by what its answer and the token itself say. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Final

from mintonce_server.core.token import MAX_LIFETIME

WHOLE_SECOND: Final = 1.0
JUST_EXPIRED: Final = 300.0
"""Seconds. If a token's `exp` is longer before the Date of its answer, the Date is wrong and is ignored."""

EXPIRED_RETRY: Final = 1.0
"""Seconds until the next mint after the issuer returned an expired token."""

_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_NOT_POSITIVE: Final = re.compile(r"-[0-9]+(\.[0-9]+)?|0+(\.0+)?")


class BadLifetime(ValueError):
    """The answer states no usable lifetime. The text completes "the answer of ISSUER …"."""

    def __init__(self, what: str, remedy: str, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.remedy = remedy
        self.retry_after = retry_after


def read_lifetime(
    fields: Mapping[str, object],
    claims: Mapping[str, object],
    sent: float | None,
    default: float | None,
    took: float,
) -> float:
    """Seconds, from 0 to MAX_LIFETIME, since the request was started. Raises BadLifetime.

    `expires_in` counts if it is a positive number. If it is absent, null, empty, zero or negative, the issuer does not
    say how long the token lives: then `default` counts, or without it the JWT's own `exp`.

    `fields`: the answer; `claims`: the token's; `sent`: the Date of the answer; `took`: seconds until it arrived.
    """
    lifetime = _until_own_end(claims, sent, _stated(fields, claims, sent, default), took)
    if lifetime is None:
        raise BadLifetime(
            "is a token that has already expired, by its own exp",
            "An issuer that reuses a token until it expires may send it at the moment of its expiry: then the next "
            "mint succeeds. Otherwise compare the clocks of the issuer's hosts.",
            EXPIRED_RETRY,
        )
    return lifetime


def _stated(
    fields: Mapping[str, object], claims: Mapping[str, object], sent: float | None, default: float | None
) -> float:
    stated = fields.get("expires_in")
    if _states_nothing(stated):
        seconds = default if default is not None else _jwt_lifetime(claims, sent)
        if seconds is None:
            raise BadLifetime(
                "states no lifetime in expires_in",
                "Set the issuer's default_lifetime to the lifetime of its tokens in seconds.",
            )
        return min(seconds, MAX_LIFETIME)
    seconds = _seconds(stated)
    if seconds is None:
        raise BadLifetime(
            "has an expires_in that is not a number of seconds",
            "The issuer must send a number (RFC 6749, section 5.1). Report this to the issuer's operators.",
        )
    return min(seconds, MAX_LIFETIME)


def _states_nothing(expires_in: object) -> bool:
    """Whether it is absent, null, empty, zero or negative: servers mean by each that they do not say."""
    if isinstance(expires_in, str):
        text = expires_in.strip()
        return not text or bool(_NOT_POSITIVE.fullmatch(text))
    return expires_in is None or (isinstance(expires_in, float) and expires_in <= 0)


def _until_own_end(claims: Mapping[str, object], sent: float | None, stated: float, took: float) -> float | None:
    """The stated lifetime, or what remains until a JWT's own `exp` by the issuer's clock, if less. None if expired.

    An issuer that reuses a token until it expires may state the full lifetime each time. The Date of the answer has
    whole seconds, and so have most `iat` and `exp`, so the expiry may be up to a second earlier than they say. An
    `exp` long before the Date is ignored: a proxy with a wrong clock wrote the Date. Without a Date, the lifetime is at
    most `exp - iat`.
    """
    expiry, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    if expiry is None or (sent is not None and expiry <= sent - JUST_EXPIRED):
        return stated
    if sent is not None and expiry <= sent:
        return None
    if issued is not None and issued < expiry and (sent is None or sent - took <= issued):  # minted for this request
        return min(stated, expiry - issued if issued % 1 else _at_least(expiry - issued))
    return stated if sent is None else min(stated, _at_least(expiry - sent) + took)


def _at_least(seconds: float) -> float:
    """The least that a difference of two times in whole seconds may be. Reduced by half at most: short tokens count."""
    return max(seconds - WHOLE_SECOND, seconds / 2)


def _seconds(value: object) -> float | None:
    """A number, or a string of digits, which some issuers send. None for a bool, NaN, negative numbers and the rest."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, float) and value >= 0:  # every number is parsed as a float; NaN fails, too
        return value
    return None


def _jwt_lifetime(claims: Mapping[str, object], sent: float | None) -> float | None:
    """`exp - iat` of a JWT (RFC 7519). The Date of the answer replaces a missing `iat`."""
    expiry, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat", sent))
    if expiry is None or issued is None or not math.isfinite(issued) or expiry <= issued:
        return None
    return expiry - issued
