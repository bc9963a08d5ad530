"""A call that has come in, as the rest of its task knows it."""

import asyncio
from contextvars import ContextVar

from mintonce_server.api.proving import Proof
from mintonce_server.core.caller import ANONYMOUS, Caller
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.limits import Seats
from mintonce_server.observability.quiet import Quiet


class Arrival:
    """One call.

    Attributes:
        peer: the other end of its connection, as gRPC names it.
        at: when its headers came, on the monotonic clock.
        proof: who calls; None for someone who is not known.
        refusal: why it must not go on; None for nothing.
        dismissal: why it had to stop waiting for its message.
        task: what waits for its message; None while nothing does. A task knows its arrival, so that a reference that
            stayed here would leave a cycle for the garbage collector after each call.
        seats: what it holds until it is over.
        quiet: bounds the log lines about calls that fail.
    """

    __slots__ = ("at", "dismissal", "peer", "proof", "quiet", "refusal", "seats", "task")

    def __init__(self, peer: str, at: float, quiet: Quiet) -> None:
        self.peer = peer
        self.at = at
        self.quiet = quiet
        self.proof: Proof | None = None
        self.refusal: Exception | None = None
        self.dismissal: MintonceError | None = None
        self.task: asyncio.Task[object] | None = None
        self.seats: tuple[Seats, ...] = ()

    def dismiss(self, why: MintonceError) -> None:
        """Have it end soon, for this reason, whatever it waits for."""
        self.dismissal = why
        if self.task is not None:
            self.task.cancel()

    def why_dismissed(self) -> MintonceError | None:
        """To be asked once, when this task was cancelled: the reason, if that was a dismissal and nothing else."""
        task = asyncio.current_task()
        return self.dismissal if self.dismissal and task and task.uncancel() == 0 else None

    @property
    def caller(self) -> Caller | None:
        """None for someone who is not known."""
        return self.proof.caller if self.proof else None

    @property
    def owner(self) -> str:
        """Who has to make room when there are too many like this."""
        return self.peer if self.caller is None or self.caller is ANONYMOUS else self.caller.name


_arrival: ContextVar[Arrival] = ContextVar("arrival")


def arrived(call: Arrival) -> None:
    """From now on, this task works on this call."""
    _arrival.set(call)


def arrival() -> Arrival:
    """Of this task's call."""
    return _arrival.get()
