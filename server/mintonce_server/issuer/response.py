"""What the issuer's answer means: a token with what it grants, or a typed error. Pure."""

import base64
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from mintonce_server.common.charset import as_utf8
from mintonce_server.common.strict_json import NotAnObject, parse_object
from mintonce_server.core.errors import Foreign, IssuerError, IssuerMalformed, Reason
from mintonce_server.core.key import MAX_AUDIENCE, MAX_SCOPE
from mintonce_server.core.quota_guard import pause_of
from mintonce_server.core.secret import Secret
from mintonce_server.core.text import MAX_GRANTED_AUDIENCES, MAX_GRANTED_SCOPES, MAX_TOKEN, is_token, printable
from mintonce_server.core.token import Minted
from mintonce_server.issuer.explanation import explanation
from mintonce_server.issuer.lifetime import BadLifetime, read_lifetime
from mintonce_server.issuer.quota import read_quota
from mintonce_server.issuer.refusal import REFUSED_FOR, Refused, error_code, http_date, refusal

BEARER: Final = "Bearer"
BEARER_TYPES: Final = frozenset({"bearer", "bearertoken", "application access token"})
"""In lower case. Apigee and eBay use the last two for bearer tokens."""

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

ERROR_AS_SUCCESS: Final = 400
"""The status that an error with a 200 should have had."""


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
        scopes, audiences: as requested.
        started_at: when the request was started, on the monotonic clock.
        took: seconds until the answer arrived.
        now_unix: for a Retry-After date in an answer without a Date.
        default_lifetime: seconds, used if `expires_in` is missing.
        allow_bound_tokens: whether a token may be bound to a certificate or key of ours.
        audience_check: whether a JWT must name the audiences.
        audience_scopes: scopes that stood for the audience. They are no granted scopes.
        token_types: values of `token_type` that mean a bearer token, in lower case.
        auth, provider: see Refused.
        secrets: returns what was sent and must not be repeated.
    """

    issuer: str
    scopes: tuple[str, ...]
    started_at: float
    now_unix: float
    default_lifetime: float | None
    allow_bound_tokens: bool
    audiences: tuple[str, ...]
    audience_check: AudienceCheck
    took: float
    audience_scopes: frozenset[str] = frozenset()
    token_types: frozenset[str] = BEARER_TYPES
    auth: str = ""
    provider: str = ""
    secrets: Callable[[], tuple[str, ...]] = field(default=tuple[str], repr=False)


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
        error.request_id, error.quota = request_id(answer.headers), read_quota(answer.headers, request.now_unix)
        if error.reason is Reason.ISSUER_THROTTLED and error.retry_after is None:
            error.retry_after = pause_of(error.quota, tokens_only=False)
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
        raise refusal(_refused(answer.status, _fields(answer), request), answer.headers, request.now_unix)
    try:
        fields = _parsed(answer)
    except NotAnObject as error:
        raise _malformed(
            request,
            "is not a JSON object",
            "Check that token_url names the token endpoint and not a web page, and that no proxy answers in its place.",
        ) from error
    if fields.get("access_token") is None and error_code(fields):
        # Some issuers send errors with a 200.
        raise refusal(_refused(ERROR_AS_SUCCESS, fields, request), answer.headers, request.now_unix)
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
        lifetime=_lifetime(fields, claims, request, answer.headers.get("date", "")),
        started_at=request.started_at,
        scopes=grant.scopes,
        request_id=request_id(answer.headers),
        audience=grant.audience,
        quota=read_quota(answer.headers, request.now_unix),
    )


def may_accept_another(answer: Answer) -> bool:
    """Whether the issuer may have refused the credential, so that another one may be accepted."""
    fields = _fields(answer)
    code = error_code(fields)
    hides_error = answer.status in (200, 201) and fields.get("access_token") is None and bool(code)
    return Refused("", ERROR_AS_SUCCESS if hides_error else answer.status, code).may_be_of_credential


def _refused(status: int, fields: Mapping[str, object], request: RequestContext) -> Refused:
    secrets, code = request.secrets(), error_code(fields)
    code = "" if code in secrets else code  # callers get it
    return Refused(request.issuer, status, code, explanation(fields, secrets), request.auth, request.provider)


def _fields(answer: Answer) -> Mapping[str, object]:
    """The members of the body, or none: of an empty body or an HTML page only the status counts."""
    try:
        return _parsed(answer)
    except NotAnObject:
        return {}


def _parsed(answer: Answer) -> dict[str, object]:
    """The body as a JSON object. Raises NotAnObject.

    JSON is UTF-8 (RFC 8259, section 8.1), but old servers declare another charset, and mean it.
    """
    return parse_object(as_utf8(answer.body, answer.headers.get("content-type", "")), integers_as_floats=True)


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
    if kind is None or (isinstance(kind, str) and " ".join(kind.lower().split()) in request.token_types):
        return BEARER
    raise _malformed(
        request,
        "has a token_type other than Bearer",
        "A client must not use a token of a type that it does not know (RFC 6749, section 7.1). Have the issuer give "
        "this client tokens of the type Bearer; or, if this type is another name for them, add it to token_types.",
    )


def _lifetime(fields: Mapping[str, object], claims: Mapping[str, object], request: RequestContext, date: str) -> float:
    try:
        return read_lifetime(fields, claims, http_date(date), request.default_lifetime, request.took)
    except BadLifetime as error:
        raise _malformed(request, str(error), error.remedy, error.retry_after) from error


def _grant(fields: Mapping[str, object], claims: Mapping[str, object], request: RequestContext) -> Grant:
    try:
        grant = read_grant(fields, claims, request.scopes, request.audience_scopes)
    except BadGrant as error:
        raise _malformed(request, str(error), error.remedy) from error
    if claims and request.audience_check == "refuse":
        check_audience(grant, _named_audiences(claims), request.audiences, request.issuer)
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


def read_grant(
    fields: Mapping[str, object],
    claims: Mapping[str, object],
    requested: tuple[str, ...],
    without: frozenset[str] = frozenset(),
) -> Grant:
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
    names = {name for names in said for name in names} - without if said else set(requested)
    scopes = sorted(printable(name, MAX_SCOPE + 1) for name in names)
    if len(scopes) > MAX_GRANTED_SCOPES or any(len(name) > MAX_SCOPE for name in scopes):
        raise BadGrant(
            f"grants more than {MAX_GRANTED_SCOPES} scopes, or one of more than {MAX_SCOPE} characters",
            "Such a token allows more than can be checked. Request only the scopes that are needed, or grant fewer at "
            "the issuer.",
        )
    return Grant(tuple(scopes), _audience(claims))


def check_audience(grant: Grant, named: Collection[str], requested: Iterable[str], issuer: str) -> None:
    """Used with `audience_check = "refuse"`: a JWT must name the audiences. Raises WrongAudience.

    `named`: the audiences in the JWT, as they stand there; those of `grant` are made printable, and cut.
    """
    if any(name not in named for name in requested):
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
    return tuple(printable(name, MAX_AUDIENCE) for name in _named_audiences(claims))


def _named_audiences(claims: Mapping[str, object]) -> list[str]:
    """RFC 7519, section 4.1.3: one string, or a list of strings."""
    stated = claims.get("aud")
    names: list[object] = [stated] if isinstance(stated, str) else []
    if isinstance(stated, list):
        names = cast("list[object]", stated)
    return [name for name in names if isinstance(name, str)][:MAX_GRANTED_AUDIENCES]


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
