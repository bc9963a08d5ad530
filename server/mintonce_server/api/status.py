"""From errors to gRPC statuses: one table."""

from typing import Final, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc.aio import ServicerContext

from mintonce_server.core.errors import IssuerError, MintonceError, Reason
from mintonce_server.core.text import printable, visible

DOMAIN: Final = "mintonce"
DETAILS: Final = "grpc-status-details-bin"
"""Where gRPC implementations look for a google.rpc.Status."""

MAX_TEXT: Final = 1000
"""Characters of a message or a remedy: with the rest they must fit into metadata, of which many servers take 8 KiB."""
MAX_CODE: Final = 64
MAX_RETRY_AFTER: Final = 86_400.0

NO_RETRY: Final = ("grpc-retry-pushback-ms", "-1")
"""Tells a channel's retry policy not to repeat by itself: the trouble is behind this server, and the others."""

CODES: Final[dict[Reason, grpc.StatusCode]] = {
    Reason.INVALID_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.UNKNOWN_CLIENT: grpc.StatusCode.NOT_FOUND,
    Reason.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.ISSUER_REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.ISSUER_THROTTLED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.ISSUER_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.ISSUER_MALFORMED: grpc.StatusCode.UNAVAILABLE,
    Reason.STORE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.ROTATION_TOO_SOON: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.WAIT_TIMED_OUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    Reason.LIMIT_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.AUDIT_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.BUDGET_USED_UP: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
}


def code_of(error: Exception) -> str:
    """The name of the gRPC code with which a call ends that raised this."""
    return CODES[error.reason].name if isinstance(error, MintonceError) else "INTERNAL"


async def abort(context: ServicerContext[object, object], error: MintonceError, request_id: str) -> NoReturn:
    """End the call with the error's status, its google.rpc details, and the request id."""
    status = status_of(error, request_id)
    trailing: list[tuple[str, str | bytes]] = [(DETAILS, status.SerializeToString())]
    if error.reason is not Reason.DRAINING:
        trailing.append(NO_RETRY)
    await context.abort(CODES[error.reason], status.message, tuple(trailing))


def status_of(error: MintonceError, request_id: str) -> Status:
    """The google.rpc.Status with ErrorInfo and, when a later try may help, RetryInfo."""
    info = ErrorInfo(domain=DOMAIN, reason=error.reason.value)
    # The last edge: whatever of an issuer or a store should be in these texts, a terminal may show them.
    info.metadata["remedy"] = visible(error.remedy_for_callers, MAX_TEXT)
    info.metadata["request_id"] = request_id
    if isinstance(error, IssuerError) and error.issuer_error:
        info.metadata["issuer_error"] = printable(error.issuer_error, MAX_CODE)
    status = Status(code=CODES[error.reason].value[0], message=visible(str(error), MAX_TEXT))
    status.details.add().Pack(info)
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(min(max(error.retry_after, 0.0), MAX_RETRY_AFTER) * 1000))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    return status
