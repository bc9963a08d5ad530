"""gRPC errors into ours: the one place that does it."""

from collections.abc import Iterable
from typing import Final, cast

import grpc

from mintonce import _status, _unreachable
from mintonce._text import visible
from mintonce.errors import MintonceError, Refused, Unavailable, Unreachable

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
        "BUDGET_USED_UP",
        "ROTATION_TOO_SOON",
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
_PASSING_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
    }
)
_NEITHER: Final = frozenset({"INTERNAL"})
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
    """What a failed call means. Raise it `from None`."""
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    details = _status.decode(metadata)
    if details.reason:
        return _said(error, details)
    said_nothing = _unsaid(error, link)
    said_nothing.retry_after = details.retry_after
    return said_nothing


def _said(error: grpc.RpcError, details: _status.Details) -> MintonceError:
    """The server gave a reason."""
    kind = _kind(details.reason, error.code())
    said = {name: visible(details.metadata.get(name, ""), _LONGEST_TEXT) for name in _TEXTS}
    return kind(
        visible(error.details() or details.reason, _LONGEST_TEXT),
        reason=visible(details.reason, _LONGEST_NAME),
        retry_after=details.retry_after,
        code=error.code(),
        **said,
    )


def _kind(reason: str, code: grpc.StatusCode) -> type[MintonceError]:
    """By the reason; one that only a newer server knows, by the status code."""
    if reason in _REFUSALS:
        return Refused
    if reason in _PASSING:
        return Unavailable
    return MintonceError if reason in _NEITHER else _kind_by_code(code)


def _kind_by_code(code: grpc.StatusCode) -> type[MintonceError]:
    if code in _REFUSAL_CODES:
        return Refused
    return Unavailable if code in _PASSING_CODES else MintonceError


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
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # gRPC's own limits, on either side: message sizes, metadata, concurrent streams. Its texts are the cause's.
        return Unavailable(
            f"{target} has no room for this call",
            reason=code.name,
            remedy="Ask again later, and for less at once. If it goes on, look into the server's log and limits.",
            code=code,
        )
    # The text stays out: a server's unexpected failure may quote anything.
    return _kind_by_code(code)(
        f"{target} answered {code.name} without a reason",
        reason=code.name,
        remedy=_UNSAID_REMEDIES.get(code, _OTHER_PEER),
        code=code,
    )
