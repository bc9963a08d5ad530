"""From reasons to canonical status codes (google.rpc.Code), by name: for every transport and the audit log."""

from typing import Final

from mintonce_server.core.errors import MintonceError, Reason

NAMES: Final[dict[Reason, str]] = {
    Reason.INVALID_REQUEST: "INVALID_ARGUMENT",
    Reason.UNKNOWN_CLIENT: "NOT_FOUND",
    Reason.UNAUTHENTICATED: "UNAUTHENTICATED",
    Reason.PERMISSION_DENIED: "PERMISSION_DENIED",
    Reason.ISSUER_REFUSED: "FAILED_PRECONDITION",
    Reason.ISSUER_THROTTLED: "RESOURCE_EXHAUSTED",
    Reason.ISSUER_UNAVAILABLE: "UNAVAILABLE",
    Reason.ISSUER_MALFORMED: "UNAVAILABLE",
    Reason.STORE_UNAVAILABLE: "UNAVAILABLE",
    Reason.ROTATION_TOO_SOON: "RESOURCE_EXHAUSTED",
    Reason.WAIT_TIMED_OUT: "DEADLINE_EXCEEDED",
    Reason.DRAINING: "UNAVAILABLE",
    Reason.LIMIT_EXCEEDED: "RESOURCE_EXHAUSTED",
    Reason.AUDIT_UNAVAILABLE: "UNAVAILABLE",
    Reason.BUDGET_USED_UP: "RESOURCE_EXHAUSTED",
    Reason.INTERNAL: "INTERNAL",
}


def name_of(error: Exception) -> str:
    """Of the code with which a call ends that raised this."""
    return NAMES[error.reason] if isinstance(error, MintonceError) else "INTERNAL"
