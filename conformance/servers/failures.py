"""Errors as a mintonced sends them, and as others do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DETAILS = "grpc-status-details-bin"
PUSHBACK = "grpc-retry-pushback-ms"


@dataclass(frozen=True)
class Failure:
    """How a call fails.

    Attributes:
        reason: of ErrorInfo; "" for an error without details.
        retry_after: seconds, of RetryInfo.
        pushback: the trailer; None: as a mintonced does, -1 with every reason but DRAINING; "": none.
        details: raw bytes instead of those that the other attributes make.
        trailers: more of them.
    """

    code: grpc.StatusCode
    reason: str = ""
    message: str = "it failed"
    remedy: str = "Mend it."
    request_id: str = "request-4711"
    issuer_error: str = ""
    domain: str = "mintonce"
    retry_after: float | None = None
    pushback: str | None = None
    details: bytes | None = None
    trailers: Mapping[str, str] = field(default_factory=dict[str, str])

    def metadata(self) -> list[tuple[str, str | bytes]]:
        result: list[tuple[str, str | bytes]] = list(self.trailers.items())
        details = self._packed() if self.details is None else self.details
        if details:
            result.append((DETAILS, details))
        pushback = self.pushback
        if pushback is None:
            pushback = "-1" if self.reason not in ("", "DRAINING") else ""
        return [*result, (PUSHBACK, pushback)] if pushback else result

    def _packed(self) -> bytes:
        status = Status(code=self.code.value[0], message=self.message)
        details: list[Message] = []
        if self.reason:
            said = {"remedy": self.remedy, "request_id": self.request_id, "issuer_error": self.issuer_error}
            metadata = {name: text for name, text in said.items() if text}
            details.append(ErrorInfo(reason=self.reason, domain=self.domain, metadata=metadata))
        if self.retry_after is not None:
            delay = Duration()
            delay.FromMilliseconds(int(self.retry_after * 1000))
            details.append(RetryInfo(retry_delay=delay))
        for detail in details:
            status.details.add().Pack(detail)
        return status.SerializeToString() if details else b""
