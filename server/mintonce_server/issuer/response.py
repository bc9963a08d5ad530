"""What the issuer's answer means: a token with what it grants, or a typed error. Pure."""

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from mintonce_server.common.strict_json import NotAnObject, parse_object
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed
from mintonce_server.core.key import MAX_AUDIENCE, MAX_SCOPE
from mintonce_server.core.secret import Secret
from mintonce_server.core.text import MAX_GRANTED_AUDIENCES, MAX_GRANTED_SCOPES, MAX_TOKEN, is_token, printable
from mintonce_server.core.token import MAX_LIFETIME, Minted
from mintonce_server.issuer.refusal import REFUSED_FOR, Refused, error_code, http_date, refusal

BEARER: Final = "Bearer"
WHOLE_SECOND: Final = 1.0
JUST_EXPIRED: Final = 300.0
"""Seconds. If a token's `exp` is longer before the Date of its answer, the Date is wrong and is ignored."""

EXPIRED_RETRY: Final = 1.0
"""Seconds until the next mint after the issuer returned an expired token."""

AudienceCheck = Literal["warn", "refuse", "off"]

AUDIENCE_REMEDY: Final = (
    "Check the issuer's audience_parameter, and that the audience is registered at the issuer for this client: many "
    "issuers ignore an audience that they do not know."
)

# RFC 7515, section 7.1: three parts in base64url without padding; some issuers pad. The signature may be empty.
_JWT = re.compile(r"[A-Za-z0-9_-]+=*\.([A-Za-z0-9_-]+=*)\.[A-Za-z0-9_-]*=*")

REQUEST_ID_HEADERS: Final = (
    "x-request-id",
    "x-correlation-id",
    "x-auth0-requestid",
    "x-okta-request-id",
    "x-ms-request-id",
    "x-amzn-requestid",
    "request-id",
    "cf-ray",
)
"""The first one that is present and safe to log counts."""

# No space, quote or control character: it is logged as it is.
_SAFE = re.compile(r"[A-Za-z0-9_.:/+=@-]{1,128}")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. Header names are lower case. The body may hold a token, so the repr leaves it out."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request that an answer belongs to.

    Attributes:
        issuer: the issuer's host, for messages.
        scopes, audience: as requested; "" for no audience.
        started_at: when the request was started, on the monotonic clock.
        took: seconds until the answer arrived.
        now_unix: for a Retry-After date in an answer without a Date.
        default_lifetime: seconds, used if `expires_in` is missing.
        allow_bound_tokens: whether a token may be bound to a certificate or key of ours.
        audience_check: whether a JWT must name the audience.
    """

    issuer: str
    scopes: tuple[str, ...]
    started_at: float
    now_unix: float
    default_lifetime: float | None
    allow_bound_tokens: bool
    audience: str
    audience_check: AudienceCheck
    took: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token grants. Names are printable ASCII; other characters are escaped.

    Attributes:
        scopes: sorted.
        audience: as Minted.audience.
    """

    scopes: tuple[str, ...]
    audience: tuple[str, ...]


class BadGrant(ValueError):
    """The answer does not state in a usable way what was granted. The text completes "the answer of ISSUER …"."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


class WrongAudience(IssuerMalformed):
    """The token is for another audience than the requested one. `grant`: for the audit log."""

    def __init__(self, message: str, *, remedy: str, grant: Grant) -> None:
        super().__init__(message, remedy=remedy, retry_after=REFUSED_FOR)
        self.grant = grant


def read_answer(answer: Answer, request: RequestContext) -> Minted:
    """The token (RFC 6749, section 5.1). Raises IssuerError, which repeats only a clean error code of the body."""
    failure: IssuerError
    try:
        return _read(answer, request)
    except IssuerError as error:
        error.request_id = request_id(answer.headers)
        raise
    except Exception as error:  # noqa: BLE001 - translated and raised below, without its text
        failure = _malformed(
            request, f"cannot be read ({type(error).__name__})", "Report this error, with the server's log."
        )
        failure.__cause__ = Foreign.of(error)
    raise failure


def _read(answer: Answer, request: RequestContext) -> Minted:
    # RFC 6749 allows only 200; some issuers send 201 because a token was created.
    if answer.status not in (200, 201):
        raise refusal(
            Refused(request.issuer, answer.status, _error_code(answer.body)), answer.headers, request.now_unix
        )
    try:
        fields = parse_object(answer.body, integers_as_floats=True)
    except NotAnObject as error:
        raise _malformed(
            request,
            "is not a JSON object",
            "Check that token_url names the token endpoint and not a web page, and that no proxy answers in its place.",
        ) from error
    if fields.get("access_token") is None and error_code(fields):
        # Some issuers send errors with a 200.
        raise refusal(Refused(request.issuer, 400, error_code(fields)), answer.headers, request.now_unix)
    token = _access_token(fields, request)
    claims = claims_of(token)
    if not request.allow_bound_tokens and is_bound(claims, fields):
        raise _malformed(
            request,
            "is a token bound to a certificate or key (cnf)",
            "Callers could not use it, because they have neither. Disable bound tokens for this client at the issuer "
            "(tls_client_certificate_bound_access_tokens, DPoP), or set allow_bound_tokens if callers can use them.",
        )
    grant = _grant(fields, claims, request)
    return Minted(
        access_token=Secret(token),
        token_type=_token_type(fields, request),
        lifetime=_lifetime(fields, claims, http_date(answer.headers.get("date", "")), request),
        started_at=request.started_at,
        scopes=grant.scopes,
        request_id=request_id(answer.headers),
        audience=grant.audience,
    )


def was_not_authenticated(answer: Answer) -> bool:
    """Whether the issuer refused the client's authentication."""
    return Refused("", answer.status, _error_code(answer.body)).is_of_client


def _error_code(body: bytes) -> str:
    try:
        return error_code(parse_object(body, integers_as_floats=True))
    except NotAnObject:  # an empty body, or an HTML page: only the status counts
        return ""


def _access_token(fields: Mapping[str, object], request: RequestContext) -> str:
    token = fields.get("access_token")
    if isinstance(token, str) and is_token(token):
        return token
    raise _malformed(
        request,
        "has no usable access_token",
        f"It must be 1 to {MAX_TOKEN} visible ASCII characters. Check that token_url names a token endpoint.",
    )


def _token_type(fields: Mapping[str, object], request: RequestContext) -> str:
    """Always "Bearer": issuers differ in case, and some resource servers accept only this spelling."""
    kind = fields.get("token_type")
    if kind is None or (isinstance(kind, str) and kind.lower() == "bearer"):
        return BEARER
    raise _malformed(
        request,
        "has a token_type other than Bearer",
        "A client must not use a token of a type that it does not know (RFC 6749, section 7.1). "
        "Configure the client for bearer tokens at the issuer.",
    )


def _lifetime(
    fields: Mapping[str, object], claims: Mapping[str, object], sent: float | None, request: RequestContext
) -> float:
    """Seconds, from 0 to MAX_LIFETIME. `sent`: the Date of the answer."""
    lifetime = _until_own_end(claims, sent, _stated(fields, claims, sent, request), request.took)
    if lifetime is None:
        raise _malformed(
            request,
            "is a token that has already expired, by its own exp",
            "An issuer that reuses a token until it expires may send it at the moment of its expiry: then the next "
            "mint succeeds. Otherwise compare the clocks of the issuer's hosts.",
            EXPIRED_RETRY,
        )
    return lifetime


def _stated(
    fields: Mapping[str, object], claims: Mapping[str, object], sent: float | None, request: RequestContext
) -> float:
    stated = fields.get("expires_in")
    if stated is None:
        seconds = request.default_lifetime if request.default_lifetime is not None else _jwt_lifetime(claims, sent)
        if seconds is None:
            raise _malformed(
                request,
                "has no expires_in",
                "Set the issuer's default_lifetime to the lifetime of its tokens in seconds.",
            )
        return min(seconds, MAX_LIFETIME)
    seconds = _seconds(stated)
    if seconds is None:
        raise _malformed(
            request,
            "has an expires_in that is not a number of seconds",
            "The issuer must send a number (RFC 6749, section 5.1). Report this to the issuer's operators.",
        )
    return min(seconds, MAX_LIFETIME)


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


def _grant(fields: Mapping[str, object], claims: Mapping[str, object], request: RequestContext) -> Grant:
    try:
        grant = read_grant(fields, claims, request.scopes)
    except BadGrant as error:
        raise _malformed(request, str(error), error.remedy) from error
    if claims and request.audience_check == "refuse":
        check_audience(grant, request.audience, request.issuer)
    return grant


def _malformed(request: RequestContext, what: str, remedy: str, retry_after: float | None = None) -> IssuerMalformed:
    return IssuerMalformed(f"the answer of {request.issuer} {what}", remedy=remedy, retry_after=retry_after)


def claims_of(token: str) -> Mapping[str, object]:
    """The claims of a token that can be read as a JWT (RFC 7519), else none.

    They are not verified: the issuer itself sent the token over TLS, and they are only compared with the request.
    """
    found = _JWT.fullmatch(token)
    if found is None:
        return {}
    payload = found[1].rstrip("=")
    try:
        return parse_object(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), integers_as_floats=True)
    except ValueError:  # binascii.Error and NotAnObject are ValueErrors: an opaque token with two dots
        return {}


def read_grant(fields: Mapping[str, object], claims: Mapping[str, object], requested: tuple[str, ...]) -> Grant:
    """What was granted. `fields`: the answer; `claims`: the token's, see `claims_of`. Raises BadGrant.

    The scopes are those in the answer and those in the JWT, which its resource server relies on. If neither names any,
    the requested scopes were granted (RFC 6749, section 5.1).
    """
    stated = fields.get("scope")
    answered = None if stated is None else _names(stated)
    if stated is not None and answered is None:
        raise BadGrant(
            "has a scope that is not a string",
            "The issuer must send scopes as one string, separated by spaces (RFC 6749, section 3.3). Report this to "
            "the issuer's operators.",
        )
    said = [names for names in (answered, *map(_names, _claimed(claims))) if names is not None]
    names = {name for names in said for name in names} if said else set(requested)
    scopes = sorted(printable(name, MAX_SCOPE + 1) for name in names)
    if len(scopes) > MAX_GRANTED_SCOPES or any(len(name) > MAX_SCOPE for name in scopes):
        raise BadGrant(
            f"grants more than {MAX_GRANTED_SCOPES} scopes, or one of more than {MAX_SCOPE} characters",
            "Such a token allows more than can be checked. Request only the scopes that are needed, or grant fewer at "
            "the issuer.",
        )
    return Grant(tuple(scopes), _audience(claims))


def check_audience(grant: Grant, requested: str, issuer: str) -> None:
    """Used with `audience_check = "refuse"`: a JWT must name the audience. Raises WrongAudience."""
    if requested and requested not in grant.audience:
        # The token's audience stays out of the text, which callers get; the log and the audit log have it.
        raise WrongAudience(
            f"the token of {issuer} is not for the requested audience",
            remedy=AUDIENCE_REMEDY + ' If the token is right nevertheless, set the issuer\'s audience_check = "warn".',
            grant=grant,
        )


def _claimed(claims: Mapping[str, object]) -> list[object]:
    """RFC 9068, section 2.2.3, uses `scope`; Okta and Microsoft Entra use `scp`."""
    return [claims[name] for name in ("scope", "scp") if claims.get(name) is not None]


def _names(value: object) -> list[str] | None:
    """The names in a string with spaces, or in a list, which some issuers send. None for anything else."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        listed = cast("list[object]", value)
        return [name for item in listed if isinstance(item, str) for name in item.split()]
    return None


def _audience(claims: Mapping[str, object]) -> tuple[str, ...]:
    """RFC 7519, section 4.1.3: one string, or a list of strings."""
    stated = claims.get("aud")
    names: list[object] = [stated] if isinstance(stated, str) else []
    if isinstance(stated, list):
        names = cast("list[object]", stated)
    texts = [name for name in names if isinstance(name, str)]
    return tuple(printable(name, MAX_AUDIENCE) for name in texts[:MAX_GRANTED_AUDIENCES])


def is_bound(claims: Mapping[str, object], answer: Mapping[str, object]) -> bool:
    """Whether the token's claims or the answer have a confirmation claim (`cnf`, RFC 7800).

    That is `x5t#S256` for a certificate (RFC 8705, section 3.1) or `jkt` for a key (RFC 9449, section 6.1). Any other
    member counts, too: callers have nothing that our tokens could be bound to. Opaque tokens do not show it.
    """
    return any(fields.get("cnf") not in (None, {}) for fields in (answer, claims))


def request_id(headers: Mapping[str, str]) -> str:
    """The issuer's id of the exchange, for the audit log and for support requests, or "". Header names: lower case."""
    stated = (headers.get(name, "").strip() for name in REQUEST_ID_HEADERS)
    return next((text for text in stated if _SAFE.fullmatch(text)), "")
