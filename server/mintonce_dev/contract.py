"""The OAuth domain's contract, as a server judges a request by it. Pure, and stricter than real ones are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from mintonce_server.core.secret import Secret

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path, no password
MAX_REQUEST: Final = 16 * 1024
"""Bytes of a request's body."""

_STATED: Final = ("grant_type", "client_id", "client_secret", "audience")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A POST to the token endpoint."""

    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the contract says about a request. `error` is "" when a token is granted, with status 200.

    `client_id`, `audience` and `scope` are what was asked for, as far as it could be read: for the log.
    """

    status: int
    error: str = ""
    description: str = ""
    client_id: str = ""
    audience: str = ""
    scope: str = ""


def judge(request: TokenRequest, clients: Mapping[str, Secret], audiences: frozenset[str] | None) -> Verdict:
    """Grants or refuses. `clients`: secret by client_id; `audiences`: what is registered here, None for anything."""
    if len(request.body) > MAX_REQUEST:
        return Verdict(413, "invalid_request", f"the body is larger than {MAX_REQUEST} bytes")
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        return Verdict(415, "invalid_request", "the Content-Type must be application/json")
    fields = _object(request.body)
    if fields is None:
        return Verdict(400, "invalid_request", "the body must be a JSON object in UTF-8, each name once")
    asked = _Asked(fields)
    return asked.refused(*(_fault(fields, clients, audiences) or (200, "", "")))


def _fault(
    fields: Mapping[str, object], clients: Mapping[str, Secret], audiences: frozenset[str] | None
) -> tuple[int, str, str] | None:
    """Status, error and description of the first thing that is wrong."""
    for name in (*_STATED, "scope"):
        if name in fields and not isinstance(fields[name], str):
            return 400, "invalid_request", f"{name} must be a string"
    grant_type, client_id, secret, audience = (cast("str", fields.get(name, "")) for name in _STATED)
    if not grant_type:
        return 400, "invalid_request", "grant_type is missing"
    if grant_type != "client_credentials":
        return 400, "unsupported_grant_type", "only client_credentials is practised here"
    known = clients.get(client_id)
    # An unknown client and a wrong secret get the same answer, as real servers do.
    if known is None or known != Secret(secret):
        return 401, "access_denied", "Unauthorized"
    if not audience:
        return 403, "access_denied", "no audience was given, and there is no default one"
    if audiences is not None and audience not in audiences:
        return 403, "access_denied", "the audience is not registered here, or not for this client"
    return None


class _Asked:
    """What the log may repeat of a request: never the secret, nor the extra claims."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._said = {
            name: text for name in ("client_id", "audience", "scope") if isinstance(text := fields.get(name), str)
        }

    def refused(self, status: int, error: str, description: str) -> Verdict:
        return Verdict(status, error, description, **self._said)


def _object(body: bytes) -> dict[str, object] | None:
    try:
        parsed: object = json.loads(body.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):  # answered with 400; the parser's words would repeat the secret
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result
