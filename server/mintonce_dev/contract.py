"""The contract of the OAuth domain: validates token requests, stricter than real servers, and makes tokens.

The tokens look like those of an OAuth domain, and grant access to nothing.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from mintonce_server.core.secret import Secret

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path, no password
MAX_REQUEST: Final = 16 * 1024
"""Bytes of a request's body."""

_SHORT: Final = 60.0
"""Seconds: a lifetime for which fractions of a second matter."""

_STATED: Final = ("grant_type", "client_id", "client_secret", "audience")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A POST to the token endpoint."""

    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for a request. `error` is "" if a token is granted, with status 200.

    `client_id`, `audience` and `scope` are those of the request, as far as they could be parsed, for the log.
    """

    status: int
    error: str = ""
    description: str = ""
    client_id: str = ""
    audience: str = ""
    scope: str = ""


def judge(request: TokenRequest, clients: Mapping[str, Secret], audiences: frozenset[str] | None) -> Verdict:
    """Grant or refuse. `clients`: secret by client_id; `audiences`: the registered ones, None for any."""
    if len(request.body) > MAX_REQUEST:
        return Verdict(413, "invalid_request", f"the body is larger than {MAX_REQUEST} bytes")
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        return Verdict(415, "invalid_request", "the Content-Type must be application/json")
    fields = _object(request.body)
    if fields is None:
        return Verdict(400, "invalid_request", "the body must be a JSON object in UTF-8, each name once")
    asked = _Asked(fields)
    return asked.refused(*(_fault(fields, clients, audiences) or (200, "", "")))


def practice_token(verdict: Verdict, issuer: str, now: float, lifetime: float) -> tuple[str, str]:
    """A token in the form of a JWT (RFC 7519) with a random signature, and its jti. Times are seconds."""
    jti = secrets.token_hex(8)
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": f"{verdict.client_id}@clients",
        "aud": verdict.audience,
        "iat": _numeric_date(now, lifetime),
        "exp": _numeric_date(now + lifetime, lifetime),
        "azp": verdict.client_id,
        "jti": jti,
    }
    if verdict.scope:
        claims["scope"] = verdict.scope
    header = {"alg": "RS256", "typ": "JWT", "kid": "practice"}
    return ".".join((_part(header), _part(claims), _base64url(secrets.token_bytes(256)))), jti


def _numeric_date(at: float, lifetime: float) -> float:
    """Whole seconds, as usual; with decimals (RFC 7519) if rounding would shorten a short lifetime noticeably."""
    return int(at) if lifetime >= _SHORT else round(at, 3)


def _part(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _fault(
    fields: Mapping[str, object], clients: Mapping[str, Secret], audiences: frozenset[str] | None
) -> tuple[int, str, str] | None:
    """Status, error and description of the first problem."""
    for name in (*_STATED, "scope"):
        if name in fields and not isinstance(fields[name], str):
            return 400, "invalid_request", f"{name} must be a string"
    grant_type, client_id, secret, audience = (cast("str", fields.get(name, "")) for name in _STATED)
    if not grant_type:
        return 400, "invalid_request", "grant_type is missing"
    if grant_type != "client_credentials":
        return 400, "unsupported_grant_type", "only client_credentials is supported"
    known = clients.get(client_id)
    # An unknown client and a wrong secret get the same answer, like from real servers.
    if known is None or known != Secret(secret):
        return 401, "access_denied", "Unauthorized"
    if not audience:
        return 403, "access_denied", "audience is missing, and there is no default"
    if audiences is not None and audience not in audiences:
        return 403, "access_denied", "the audience is not registered for this client"
    return None


class _Asked:
    """What the log may contain of a request: neither the secret nor the extra claims."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._said = {
            name: text for name in ("client_id", "audience", "scope") if isinstance(text := fields.get(name), str)
        }

    def refused(self, status: int, error: str, description: str) -> Verdict:
        return Verdict(status, error, description, **self._said)


def _object(body: bytes) -> dict[str, object] | None:
    try:
        parsed: object = json.loads(body.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):  # answered with 400; the parser's error would repeat the secret
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result
