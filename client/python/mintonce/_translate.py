"""gRPC errors into ours: the one place that does it."""

from collections.abc import Iterable
from typing import Final, cast

import grpc

from mintonce import _status, _unreachable
from mintonce._text import visible
from mintonce.errors import MintonceError, Refused, Unavailable, Unreachable, closed

_REFUSALS: Final = frozenset(
    {"INVALID_REQUEST", "UNKNOWN_CLIENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "ISSUER_REFUSED"}
)
_PASSING: Final = frozenset(
    {
        "ISSUER_THROTTLED",
        "ISSUER_UNAVAILABLE",
        "ISSUER_MALFORMED",
        "STORE_UNAVAILABLE",
        "WAIT_TIMED_OUT",
        "DRAINING",
        "LIMIT_EXCEEDED",
        "AUDIT_UNAVAILABLE",
    }
)
_REFUSAL_CODES: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
_LONGEST_TEXT: Final = 2000
_LONGEST_NAME: Final = 64
_TEXTS: Final = ("remedy", "issuer_error", "request_id")
_OTHER_PEER: Final = "Is this target a mintonced, of a version that fits this client, and not a proxy in front of it?"
_UNSAID_REMEDIES: Final = {
    grpc.StatusCode.UNAUTHENTICATED: "Something on the way wants other credentials: see MINTONCE_CERTIFICATE_FILE, "
    f"MINTONCE_BEARER_FILE and MINTONCE_API_KEY_FILE. {_OTHER_PEER}",
    grpc.StatusCode.PERMISSION_DENIED: f"Something on the way refuses this caller. {_OTHER_PEER}",
}


def translate(error: grpc.RpcError, link: _unreachable.Link) -> MintonceError:
    """What a failed call means. Raise it `from` the error."""
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    details = _status.decode(metadata)
    return _said(error, details) if details.reason else _unsaid(error, link)


def _said(error: grpc.RpcError, details: _status.Details) -> MintonceError:
    """The server gave a reason."""
    if details.reason in _REFUSALS:
        kind: type[MintonceError] = Refused
    else:
        kind = Unavailable if details.reason in _PASSING else MintonceError
    said = {name: visible(details.metadata.get(name, ""), _LONGEST_TEXT) for name in _TEXTS}
    return kind(
        visible(error.details() or details.reason, _LONGEST_TEXT),
        reason=visible(details.reason, _LONGEST_NAME),
        retry_after=details.retry_after,
        code=error.code(),
        **said,
    )


def _unsaid(error: grpc.RpcError, link: _unreachable.Link) -> MintonceError:
    """No reason came: gRPC itself failed, or something that is no mintonced answered."""
    code, target = error.code(), link.target
    if code is grpc.StatusCode.UNAVAILABLE:
        why, remedy = _unreachable.explain(error.details() or "", link)
        return Unreachable(f"cannot reach mintonced at {target}: {why}", reason="UNREACHABLE", remedy=remedy, code=code)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(
            f"no answer from {target} before the deadline",
            reason="DEADLINE_EXCEEDED",
            remedy="Allow more time, or look into the server's log: a mint may take up to 10 seconds.",
            code=code,
        )
    if code is grpc.StatusCode.CANCELLED:
        return closed("client")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # gRPC's own limits, on either side: message sizes, metadata, concurrent streams. Its texts are the cause's.
        return Unavailable(
            f"{target} has no room for this call",
            reason=code.name,
            remedy="Ask again later, and for less at once. If it goes on, look into the server's log and limits.",
            code=code,
        )
    # The text stays out: a server's unexpected failure may quote anything.
    kind = Refused if code in _REFUSAL_CODES else MintonceError
    return kind(
        f"{target} answered {code.name} without a reason",
        reason=code.name,
        remedy=_UNSAID_REMEDIES.get(code, _OTHER_PEER),
        code=code,
    )
