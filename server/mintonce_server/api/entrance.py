"""What every call passes before it is worked on: who is it, is there room for it, does its message come in time.

The headers alone say who calls. A call without a valid identity is refused on the spot, whether or not its message ever
comes; such calls have places of their own, so that they take none from callers who are known.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, cast

from mintonce_server.api.arrival import Arrival, arrived
from mintonce_server.api.context import Context
from mintonce_server.api.proving import Proof
from mintonce_server.api.wasted import WastedCalls
from mintonce_server.core.caller import Caller
from mintonce_server.core.errors import InvalidRequest, LimitExceeded, MintonceError, Unauthenticated
from mintonce_server.core.limits import Quotas, Seats, Shares
from mintonce_server.core.ports import Clock
from mintonce_server.observability.quiet import Quiet

MOST_UNKNOWN: Final = 4000
"""Calls of one entrance whose callers are not known: refusals that are on their way; or probes and watches of health,
for which no one is asked who he is. A watch takes about 25 kB."""
MOST_WAITING: Final = 2000
"""Calls of one listener whose message has not come yet. Messages usually come with the headers."""
SWEEPS: Final = 4
"""Looks for late messages within one message_timeout."""


class Doorkeeper(Protocol):
    """Says who calls."""

    quotas: Quotas | None

    def prove(self, context: Context) -> Proof:
        """Raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class EntranceLimits:
    """For one listener.

    Attributes:
        max_calls: calls of callers who are known, at a time, watches included. A call ends when its answer was sent.
        message_timeout: seconds from a call's headers to its message.
    """

    max_calls: int
    message_timeout: float


class Entrance:
    """Of one listener. `doorkeeper` None: callers are not asked who they are, as on a port for probes."""

    def __init__(
        self, doorkeeper: Doorkeeper | None, limits: EntranceLimits, wasted: WastedCalls, clock: Clock
    ) -> None:
        self._doorkeeper = doorkeeper
        self._timeout = limits.message_timeout
        self._seats = Seats(limits.max_calls, _too_many_calls)
        self._wasted = wasted
        self._clock = clock
        self._quiet = Quiet(clock)
        self._unknown: Shares[Arrival] = Shares()
        self._waiting: dict[Arrival, None] = {}

    def arrive(self, context: Context, *, streams: bool = False) -> Arrival | None:
        """Look at the headers. What comes of it is `arrival()` for the rest of this task.

        None for a call of a connection that is closed: then any work for it is lost.
        """
        peer = str(context.peer())
        if self._wasted.is_gone(peer):
            return None
        came = Arrival(peer, self._clock.monotonic(), self._quiet)
        arrived(came)
        # The published types want a class of theirs.
        context.add_done_callback(cast("Any", partial(self._left, came)))
        if self._doorkeeper is None:
            self._take_in_unknown(came)
            return came
        try:
            came.proof = self._doorkeeper.prove(context)
            self._seat(came, came.proof.caller, self._doorkeeper.quotas, streams=streams)
        except Exception as error:  # noqa: BLE001 - the method raises it, and ends as after any other error
            came.refusal = error
            if isinstance(error, Unauthenticated):
                self._take_in_unknown(came)
        return came

    async def message(self, context: Context, came: Arrival) -> bytes | None:
        """The call's message as it was sent. None, and the arrival has a refusal, when none comes in time."""
        if len(self._waiting) >= MOST_WAITING:
            self._make_room()
        came.task = asyncio.current_task()
        self._waiting[came] = None
        try:
            message: object = await context.read()
        except asyncio.CancelledError:
            self._wasted.note(came.peer)
            if (why := came.why_dismissed()) is None:
                raise  # the caller hung up, or the server stops
            came.refusal = why
            return None
        finally:
            self._waiting.pop(came, None)
            if came.caller is not None:
                came.task = None
        if not isinstance(message, bytes):
            self._wasted.note(came.peer)
            came.refusal = InvalidRequest("the call has no message", remedy="Send one message of mintonce.v1.")
            return None
        return message

    async def sweep(self) -> None:
        """Dismiss calls whose message is late, endlessly."""
        while True:
            await asyncio.sleep(self._timeout / SWEEPS)
            late = self._clock.monotonic() - self._timeout
            for came in list(self._waiting):
                if came.at > late:
                    break  # those behind it came later
                self._dismiss(came, _too_late(self._timeout))

    def _make_room(self) -> None:
        """Dismiss the oldest waiting calls of the owner with most of them; several, because the search looks at all."""
        (largest, count), *_ = Counter(came.owner for came in self._waiting).most_common(1)
        theirs = [came for came in self._waiting if came.owner == largest]
        for came in theirs[: 1 + count // 4]:
            self._dismiss(came, _crowded())

    def _take_in_unknown(self, came: Arrival) -> None:
        if len(self._unknown.all) >= MOST_UNKNOWN:
            oldest = next(iter(self._unknown.of(self._unknown.largest())))
            self._unknown.remove(oldest)
            self._dismiss(oldest, _crowded())
        came.task = asyncio.current_task()
        self._unknown.add(came, came.owner)
        self._wasted.note(came.peer)

    def _seat(self, came: Arrival, caller: Caller, quotas: Quotas | None, *, streams: bool) -> None:
        self._seats.take()
        came.seats = (self._seats,)
        if quotas is not None and not streams:  # watches have a limit of their own
            of_caller = quotas.calling(caller.name)
            of_caller.take()
            came.seats = (self._seats, of_caller)

    def _dismiss(self, came: Arrival, why: MintonceError) -> None:
        self._waiting.pop(came, None)
        came.dismiss(why)

    def _left(self, came: Arrival, _: object) -> None:
        """The call is over, and its answer is sent or will never be."""
        for seats in came.seats:
            seats.free()
        self._unknown.remove(came)
        came.task = None


def _too_many_calls() -> LimitExceeded:
    return LimitExceeded(
        "this server has too many calls under way",
        remedy="Call again later; or add replicas, or raise max_concurrent_rpcs.",
        retry_after=1.0,
    )


def _crowded() -> LimitExceeded:
    return LimitExceeded(
        "too many calls of callers who are not known, or without a message",
        remedy="Send a proof of identity, and the message together with the headers.",
        retry_after=1.0,
    )


def _too_late(timeout: float) -> InvalidRequest:
    return InvalidRequest(
        f"the call sent no message within {timeout:g} s", remedy="Send the message together with the headers."
    )
