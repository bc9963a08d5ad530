"""A call as its handler sees it, whatever transport brought it.

A handler answers by returning, or by yielding where it streams, and fails by raising: what a caller may be told is a
MintonceError.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Protocol

from mintonce_server.calls.proof import Proof
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.limits import Seats
from mintonce_server.core.tracing import CallSpan
from mintonce_server.observability.audit_repeats import UNKNOWN
from mintonce_server.observability.logs import bind_request_id, bound_request_id, get_logger
from mintonce_server.observability.quiet import Quiet

DEFAULT_DEADLINE: Final = 15.0
"""Seconds that a call without a deadline waits for a token."""
MARGIN: Final = 0.05
"""Seconds reserved for the answer to reach the caller."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class Transport(Protocol):
    """What a transport knows of one call."""

    via: ClassVar[str]
    """What it is, for the audit log: "grpc" or "http"."""

    @property
    def peer(self) -> str:
        """The other end of the connection, as gRPC names it."""
        ...

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """What came with the headers."""
        ...

    def certificates(self) -> tuple[bytes | None, bytes]:
        """The PEM of the verified client certificate, and of those between it and its authority."""
        ...

    def seconds_left(self) -> float | None:
        """Until the caller's deadline. None: it has none."""
        ...

    def on_end(self, callback: Callable[[object], None]) -> None:
        """Call back, with anything, when the answer has been sent, or never will be."""
        ...

    def release(self) -> None:
        """The call has ended: let go of what belongs to it."""
        ...

    async def read(self) -> bytes | None:
        """The message as it was sent. None: the caller has ended its side without one."""
        ...


class Call:
    """One call.

    Attributes:
        client: the name in its key, once that is known; "" before.
        transport: what brought it.
        at: when its headers came, on the monotonic clock.
        proof: the caller's proof of identity. None: the caller is not known.
        refusal: why the call must not go on. None: it may.
        dismissal: why it had to stop waiting for its message.
        task: what waits for its message; None while nothing does. A task refers to its call, so a reference that stayed
            here would leave a cycle for the garbage collector after each call.
        seats: what it holds until it ends.
        span: what is traced of it. None: nothing.
        quiet: limits the log lines about calls that fail.
    """

    __slots__ = ("at", "client", "dismissal", "proof", "quiet", "refusal", "seats", "span", "task", "transport")

    def __init__(self, transport: Transport, at: float, quiet: Quiet) -> None:
        self.transport = transport
        self.at = at
        self.quiet = quiet
        self.client = ""
        self.proof: Proof | None = None
        self.refusal: Exception | None = None
        self.dismissal: MintonceError | None = None
        self.task: asyncio.Task[object] | None = None
        self.seats: tuple[Seats, ...] = ()
        self.span: CallSpan | None = None

    @property
    def peer(self) -> str:
        return self.transport.peer

    @property
    def caller(self) -> Caller | None:
        """None for a caller that is not known."""
        return self.proof.caller if self.proof else None

    @property
    def owner(self) -> str:
        """Whose share of the places this call takes: the caller's, or the connection's if the caller has no name."""
        return self.peer if self.caller is None or self.caller is ANONYMOUS else self.caller.name

    def deadline(self) -> float:
        """Seconds for the answer to be ready in, so that it arrives before the caller gives up."""
        left = self.transport.seconds_left()
        return DEFAULT_DEADLINE if left is None else max(0.0, left - MARGIN)

    def begin_span(self) -> None:
        """The call does more than read memory: record it, if calls are traced."""
        if self.span is not None:
            self.span.begin()

    def request_id(self) -> str:
        """The caller's x-request-id, or a new one: the same each time. From now on in every log line of this call."""
        if known := bound_request_id():  # each call has a task of its own
            return known
        given = dict(self.transport.metadata()).get("x-request-id", "")
        text = given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        bind_request_id(text)
        return text

    def must_be_received(self) -> None:
        """Raises the refusal, if there is one."""
        if self.refusal is not None:
            raise self.refusal

    def dismiss(self, why: MintonceError) -> None:
        """End it soon, for this reason, whatever it waits for."""
        self.dismissal = why
        if self.task is not None:
            self.task.cancel()

    def why_dismissed(self) -> MintonceError | None:
        """Call it once, after this task was cancelled: the reason, if that was a dismissal and nothing else."""
        task = asyncio.current_task()
        return self.dismissal if self.dismissal and task and task.uncancel() == 0 else None

    def log_failure(self, error: Exception) -> MintonceError:
        """Log why the call fails. The error for its caller, which says nothing of a fault of ours."""
        self.request_id()
        log = get_logger(__name__)
        caller = self.caller.name if self.caller else UNKNOWN
        if not isinstance(error, MintonceError):
            if (left_out := self.quiet.more((type(error), caller))) is not None:
                log.error("internal_error", exc_info=error, **_left_out(left_out))
            return MintonceError("internal error", remedy="Look up the request id in the server's log.")
        if (left_out := self.quiet.more((error.reason, caller))) is not None:
            fields = {"reason": error.reason.value, "detail": str(error), "retry_after": error.retry_after}
            log.info("call_failed", **fields, **_left_out(left_out))
        return error


def _left_out(count: int) -> dict[str, int]:
    """How many such lines are missing before this one, if any are."""
    return {"left_out": count} if count else {}
