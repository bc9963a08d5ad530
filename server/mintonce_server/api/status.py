"""From errors to gRPC statuses."""

from typing import Final, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc.aio import ServicerContext

from mintonce_server.calls.status import NAMES
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

CODES: Final[dict[Reason, grpc.StatusCode]] = {reason: grpc.StatusCode[name] for reason, name in NAMES.items()}


class StatusError(Exception):
    """Ends a call with this gRPC status and nothing else: for what no MintonceError says."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


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
