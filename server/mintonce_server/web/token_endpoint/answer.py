"""What the endpoint answers (RFC 6749, section 5). Pure."""

import json
import math
import re
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from mintonce_server.calls.authorize import denied
from mintonce_server.core.broker import Served
from mintonce_server.core.errors import (
    IssuerRefused,
    MintonceError,
    Reason,
    Unauthenticated,
    UnknownClient,
)
from mintonce_server.core.policy import Act
from mintonce_server.web.answers import Answer
from mintonce_server.web.token_endpoint.request import BadRequest

LEAST: Final = 2
"""Seconds that a token must have left, and the least that is told: 0 means "for ever" to some clients, and 1 makes a
proxy that renews at half of it ask without end."""
SPREAD_MAX: Final = 30.0
SPREAD_SHARE: Final = 0.05
"""Of what is left. All replicas of a program got the same token: told the same, they would all come back at once."""
MAX_DESCRIPTION: Final = 500
REFUSED_RETRY: Final = 30.0
"""Seconds, for what a person must mend first."""

_JSON: Final = {"Content-Type": "application/json"}
# RFC 6749, section 5.2: what error_description may have.
_NOT_DESCRIPTIVE: Final = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")

_ERRORS: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.INVALID_REQUEST: (400, "invalid_request"),
    Reason.UNAUTHENTICATED: (401, "invalid_client"),
    # 400: there are clients that read an error only there.
    Reason.PERMISSION_DENIED: (400, "unauthorized_client"),
    Reason.UNKNOWN_CLIENT: (400, "unauthorized_client"),
    Reason.ISSUER_REFUSED: (502, "server_error"),
    Reason.ISSUER_THROTTLED: (429, "temporarily_unavailable"),
    Reason.LIMIT_EXCEEDED: (429, "temporarily_unavailable"),
    Reason.ROTATION_TOO_SOON: (429, "temporarily_unavailable"),
    Reason.BUDGET_USED_UP: (429, "temporarily_unavailable"),
    Reason.ISSUER_UNAVAILABLE: (503, "temporarily_unavailable"),
    Reason.STORE_UNAVAILABLE: (503, "temporarily_unavailable"),
    Reason.WAIT_TIMED_OUT: (503, "temporarily_unavailable"),
    Reason.DRAINING: (503, "temporarily_unavailable"),
    Reason.AUDIT_UNAVAILABLE: (503, "temporarily_unavailable"),
    Reason.ISSUER_MALFORMED: (502, "server_error"),
    Reason.INTERNAL: (500, "server_error"),
}
_ISSUER_CODES: Final[Mapping[str, str]] = {
    "invalid_scope": "invalid_scope",
    "invalid_target": "invalid_target",
    "access_denied": "unauthorized_client",
    "unauthorized_client": "unauthorized_client",
}
"""Codes of the issuer that are about what the caller asked for. Never invalid_client: it is the server's secret that is
wrong then, and the caller would change its own."""


def token_answer(served: Served, now: float, chance: float) -> Answer:
    """`chance`: in [0, 1), another one for each answer. Shortens the time that is told; more is never told."""
    token = served.token
    left = token.remaining(now)
    spread = 0.0 if served.degraded else chance * min(SPREAD_MAX, SPREAD_SHARE * left)
    expires_in = max(LEAST, math.floor(left - spread))
    said: dict[str, str | int] = {
        "access_token": quoted(token.access_token.reveal()),
        "token_type": quoted(token.token_type),
        "expires_in": expires_in,
    }
    if token.scopes:
        said["scope"] = quoted(" ".join(token.scopes))
    if 1 <= (refresh_in := int(token.refresh_at - now)) < expires_in:
        said["refresh_in"] = refresh_in
    # Not by json.dumps: this is the hot path.
    text = ", ".join([f'"{name}": {value}' for name, value in said.items()])
    return Answer(200, _JSON, f"{{{text}}}".encode())


def error_answer(error: MintonceError, request_id: str, *, used_authorization: bool, act: Act = Act.GET) -> Answer:
    """`used_authorization`: the request had an Authorization header, so it is answered with a challenge (RFC 6749,
    section 5.2). Without one a challenge hides the body from some clients."""
    status, code = _ERRORS[error.reason]
    text = _full(error)
    retry_after = error.retry_after
    match error:
        case BadRequest():
            status, code = error.status, error.error
        case IssuerRefused() if (
            not error.of_client and (about_caller := _ISSUER_CODES.get(error.issuer_error)) is not None
        ):
            status, code = 400, about_caller
        case IssuerRefused():
            retry_after = REFUSED_RETRY
        case UnknownClient():
            text = _full(denied(act))
        case Unauthenticated():
            text = str(error)  # the remedy names what is accepted here
        case _:
            pass
    headers = {**_JSON, "X-Request-Id": request_id} if request_id else dict(_JSON)
    if status == 503:
        retry_after = retry_after or 1.0
    if retry_after is not None and status >= 429:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if status == 401 and used_authorization:
        headers["WWW-Authenticate"] = 'Basic realm="mintonce"'
    if error.reason is Reason.DRAINING or status == 413:
        headers["Connection"] = "close"
    return Answer(status, headers, json.dumps({"error": code, "error_description": described(text)}).encode())


def json_answer(said: Mapping[str, object]) -> Answer:
    """200 with this object."""
    return Answer(200, _JSON, json.dumps(said).encode())


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Of what is no token request at all."""
    body = {"error": "invalid_request", "error_description": described(text)}
    return Answer(status, {**_JSON, **(headers or {})}, json.dumps(body).encode())


def _full(error: MintonceError) -> str:
    return f"{error}. {error.remedy_for_callers}"


def described(text: str) -> str:
    """Fit for error_description."""
    return _NOT_DESCRIPTIVE.sub("'", text)[:MAX_DESCRIPTION]
