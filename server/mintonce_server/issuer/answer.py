"""What the issuer's answer means: a token, or a typed error. Pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed
from mintonce_server.core.secret import Secret
from mintonce_server.core.text import MAX_TOKEN, is_token
from mintonce_server.core.token import MAX_LIFETIME, Minted
from mintonce_server.issuer.binding import is_bound
from mintonce_server.issuer.correlation import request_id
from mintonce_server.issuer.grant import AudienceCheck, BadGrant, Grant, check_audience, claims_of, read_grant
from mintonce_server.issuer.refusal import Refused, error_code, http_date, refusal
from mintonce_server.issuer.strictjson import NotAnObject, parse_object

BEARER: Final = "Bearer"
WHOLE_SECOND: Final = 1.0
JUST_OVER: Final = 300.0
"""Seconds. A token that ended longer before the Date of its answer did not: then the Date is wrong."""

OVER_FOR: Final = 1.0
"""Seconds until the issuer of a token that is over is asked for the next one."""

_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Header names are lower case. The body may hold a token, so the repr leaves it out."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answer answers.

    Attributes:
        issuer: the issuer's host, for messages.
        scopes, audience: what was asked for; "" for no audience.
        started_at: when the request was started, on the monotonic clock.
        took: seconds until its answer was there.
        now_unix: for a Retry-After date whose answer has no date of its own.
        default_lifetime: seconds, where `expires_in` is missing.
        allow_bound_tokens: whether a token may be bound to a certificate or key of ours.
        audience_check: whether a JWT must name the audience.
    """

    issuer: str
    scopes: tuple[str, ...]
    started_at: float
    now_unix: float
    default_lifetime: float | None = None
    allow_bound_tokens: bool = False
    audience: str = ""
    audience_check: AudienceCheck = "warn"
    took: float = 0.0


def read_answer(answer: Answer, asked: Asked) -> Minted:
    """The token (RFC 6749, section 5.1). Raises IssuerError; no text of the body is in it but a clean error code."""
    failure: IssuerError
    try:
        return _read(answer, asked)
    except IssuerError as error:
        error.request_id = request_id(answer.headers)
        raise
    except Exception as error:  # noqa: BLE001 - translated and raised below, without its text
        failure = _malformed(asked, f"cannot be read ({type(error).__name__})", "Report it, with the server's log.")
        failure.__cause__ = Foreign.of(error)
    raise failure


def _read(answer: Answer, asked: Asked) -> Minted:
    # RFC 6749 knows only 200; 201 is what some send because a token was created.
    if answer.status not in (200, 201):
        raise refusal(Refused(asked.issuer, answer.status, _error_code(answer.body)), answer.headers, asked.now_unix)
    try:
        fields = parse_object(answer.body)
    except NotAnObject as error:
        raise _malformed(
            asked,
            "is not a JSON object",
            "Does token_url name the token endpoint, and not a page for people? Or did a proxy answer in its place?",
        ) from error
    if fields.get("access_token") is None and error_code(fields):
        # Some say no with a 200.
        raise refusal(Refused(asked.issuer, 400, error_code(fields)), answer.headers, asked.now_unix)
    token = _access_token(fields, asked)
    claims = claims_of(token)
    if not asked.allow_bound_tokens and is_bound(claims, fields):
        raise _malformed(
            asked,
            "is a token bound to a certificate or key (cnf)",
            "Callers could not use it, for they have neither. Turn bound tokens off for this client at the issuer "
            "(tls_client_certificate_bound_access_tokens, DPoP), or set allow_bound_tokens if it does no harm.",
        )
    grant = _grant(fields, claims, asked)
    return Minted(
        access_token=Secret(token),
        token_type=_token_type(fields, asked),
        lifetime=_lifetime(fields, claims, http_date(answer.headers.get("date", "")), asked),
        started_at=asked.started_at,
        scopes=grant.scopes,
        request_id=request_id(answer.headers),
        audience=grant.audience,
    )


def was_not_authenticated(answer: Answer) -> bool:
    """Whether it was the client's proof that was not taken."""
    return Refused("", answer.status, _error_code(answer.body)).is_of_client


def _error_code(body: bytes) -> str:
    try:
        return error_code(parse_object(body))
    except NotAnObject:  # an error with an empty body, or with a page: the status has to do
        return ""


def _access_token(fields: Mapping[str, object], asked: Asked) -> str:
    token = fields.get("access_token")
    if isinstance(token, str) and is_token(token):
        return token
    raise _malformed(
        asked,
        "has no usable access_token",
        f"It must be 1 to {MAX_TOKEN} visible ASCII characters. Is this the token endpoint of an OAuth domain?",
    )


def _token_type(fields: Mapping[str, object], asked: Asked) -> str:
    """Always "Bearer": the case is the issuer's whim, and resource servers are picky about it."""
    kind = fields.get("token_type")
    if kind is None or (isinstance(kind, str) and kind.lower() == "bearer"):
        return BEARER
    raise _malformed(
        asked,
        "has a token_type other than Bearer",
        "Such a token must not be used by a client that does not know its type (RFC 6749, section 7.1). "
        "Set the client up for bearer tokens at the issuer.",
    )


def _lifetime(fields: Mapping[str, object], claims: Mapping[str, object], sent: float | None, asked: Asked) -> float:
    """Seconds, from 0 to MAX_LIFETIME. `sent`: the Date of the answer."""
    lifetime = _until_own_end(claims, sent, _stated(fields, claims, sent, asked), asked.took)
    if lifetime is None:
        raise _malformed(
            asked,
            "is a token that is over already, by its own exp",
            "An issuer that gives one token until it ends does so in the moment of its end: then the next one comes at "
            "once. Else compare the clocks of the issuer's hosts.",
            OVER_FOR,
        )
    return lifetime


def _stated(fields: Mapping[str, object], claims: Mapping[str, object], sent: float | None, asked: Asked) -> float:
    stated = fields.get("expires_in")
    if stated is None:
        seconds = asked.default_lifetime if asked.default_lifetime is not None else _jwt_lifetime(claims, sent)
        if seconds is None:
            raise _malformed(
                asked, "has no expires_in", "Set default_lifetime of this issuer to the seconds that its tokens live."
            )
        return min(seconds, MAX_LIFETIME)
    seconds = _seconds(stated)
    if seconds is None:
        raise _malformed(
            asked,
            "has an expires_in that is no number of seconds",
            "The issuer must send a number (RFC 6749, section 5.1). Report it to those who run it.",
        )
    return min(seconds, MAX_LIFETIME)


def _until_own_end(claims: Mapping[str, object], sent: float | None, stated: float, took: float) -> float | None:
    """The stated lifetime, or what a JWT has left of its own by the issuer's clock, if that is less. None: it is over.

    An issuer that hands out one token until it ends may state a full lifetime each time. The Date of the answer is in
    whole seconds, and `iat` and `exp` are most often, so the end may be up to a second earlier than they say. An end
    that is over for long is not believed: a proxy with another clock wrote the Date. Without a Date, a token lives no
    longer than it did when it was minted.
    """
    expiry, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    if expiry is None or (sent is not None and expiry <= sent - JUST_OVER):
        return stated
    if sent is not None and expiry <= sent:
        return None
    if issued is not None and issued < expiry and (sent is None or sent - took <= issued):  # minted for this request
        return min(stated, expiry - issued if issued % 1 else _at_least(expiry - issued))
    return stated if sent is None else min(stated, _at_least(expiry - sent) + took)


def _at_least(seconds: float) -> float:
    """What a difference of times in whole seconds is at least; at most half is taken off, or live tokens seem dead."""
    return max(seconds - WHOLE_SECOND, seconds / 2)


def _seconds(value: object) -> float | None:
    """A number, or a text of digits as some send; None for a bool (an int to Python), NaN, negative and all else."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, float) and value >= 0:  # strictjson makes every number a float; NaN fails too
        return value
    return None


def _jwt_lifetime(claims: Mapping[str, object], sent: float | None) -> float | None:
    """exp - iat, of a JWT (RFC 7519) that has both. Without `iat`, the Date of the answer stands for it."""
    expiry, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat", sent))
    if expiry is None or issued is None or not math.isfinite(issued) or expiry <= issued:
        return None
    return expiry - issued


def _grant(fields: Mapping[str, object], claims: Mapping[str, object], asked: Asked) -> Grant:
    try:
        grant = read_grant(fields, claims, asked.scopes)
    except BadGrant as error:
        raise _malformed(asked, str(error), error.remedy) from error
    if claims and asked.audience_check == "refuse":
        check_audience(grant, asked.audience, asked.issuer)
    return grant


def _malformed(asked: Asked, what: str, remedy: str, retry_after: float | None = None) -> IssuerMalformed:
    return IssuerMalformed(f"the answer of {asked.issuer} {what}", remedy=remedy, retry_after=retry_after)
