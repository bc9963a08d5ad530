"""What every call passes before it is worked on: who calls, is there room for it, does its message come in time.

The headers alone say who calls. A call without a valid identity is refused at once, whether or not its message ever
comes. Such calls have places of their own, so that they take none from callers that are known. They still cost a tenth
of a millisecond each: connections that make too many of them are closed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from mintonce_server.calls.call import Call, Transport
from mintonce_server.calls.proof import Proof, Shown
from mintonce_server.common.clock import Clock
from mintonce_server.core.caller import Caller
from mintonce_server.core.errors import InvalidRequest, LimitExceeded, MintonceError, Unauthenticated
from mintonce_server.core.limits import Quotas, Seats, Shares
from mintonce_server.observability.quiet import Quiet

MAX_UNKNOWN: Final = 4000
"""Calls of one admission whose callers are not known: refusals on their way; or probes and watches of health, which
need no identity. A watch takes about 25 kB."""
MAX_WAITING: Final = 2000
"""Calls of one listener whose message has not come yet. Messages usually come with the headers."""
SWEEPS: Final = 4
"""Searches for late messages within one message_timeout."""

SECOND: Final = 1.0
PERIOD: Final = 10.0
"""Seconds in which a connection may make MAX_PER_PERIOD wasted calls."""
MAX_PER_PERIOD: Final = 1000
FEW: Final = 10
"""Wasted calls of one connection in one second that never close it, however many others there are."""
MAX_PEERS: Final = 20_000
GONE: Final = 2.0
"""Seconds in which calls may still come up that a connection made before it was closed."""

Close = Callable[[Collection[str]], Collection[str]]
"""Takes peers; returns those whose connections it could close."""


class Authenticator(Protocol):
    """Says who calls."""

    quotas: Quotas | None

    def prove(self, shown: Shown) -> Proof:
        """Raises Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """For one listener.

    Attributes:
        max_calls: calls of known callers at a time, watches included. A call ends when its answer has been sent.
        message_timeout: seconds from a call's headers to its message.
    """

    max_calls: int
    message_timeout: float


class Admission:
    """Of one listener. `authenticator` None: callers need no identity, as on a port for probes."""

    def __init__(
        self, authenticator: Authenticator | None, limits: AdmissionLimits, wasted: "WastedCalls", clock: Clock
    ) -> None:
        self._authenticator = authenticator
        self._timeout = limits.message_timeout
        self._seats = Seats(limits.max_calls, _too_many_calls)
        self._wasted = wasted
        self._clock = clock
        self._quiet = Quiet(clock)
        self._unknown: Shares[Call] = Shares()
        self._waiting: dict[Call, None] = {}

    def admit(self, transport: Transport, *, streams: bool = False) -> Call | None:
        """Look at the headers. The call, which has a refusal if it must not go on.

        None if the call's connection is closed: then any work for it is lost.
        """
        if self._wasted.is_gone(transport.peer):
            return None
        call = Call(transport, self._clock.monotonic(), self._quiet)
        transport.on_end(partial(self._ended, call))
        if self._authenticator is None:
            self._take_in_unknown(call)
            return call
        try:
            call.proof = self._authenticator.prove(transport)
            self._seat(call, call.proof.caller, self._authenticator.quotas, streams=streams)
        except Exception as error:  # noqa: BLE001 - the method raises it, and ends as after any other error
            call.refusal = error
            if isinstance(error, Unauthenticated):
                self._take_in_unknown(call)
        return call

    def turn_away(self, transport: Transport, why: MintonceError) -> Call:
        """A call that must not go on, before anybody asked who calls."""
        call = Call(transport, self._clock.monotonic(), self._quiet)
        call.refusal = why
        transport.on_end(partial(self._ended, call))
        self._take_in_unknown(call)
        return call

    def age(self, call: Call) -> float:
        """Seconds since the call's headers came."""
        return self._clock.monotonic() - call.at

    async def message(self, call: Call) -> bytes | None:
        """The call's message as it was sent. None, and the call has a refusal, when none comes in time."""
        if len(self._waiting) >= MAX_WAITING:
            self._make_room()
        call.task = asyncio.current_task()
        self._waiting[call] = None
        try:
            message = await call.transport.read()
        except asyncio.CancelledError:
            self._wasted.note(call.peer)
            if (why := call.why_dismissed()) is None:
                raise  # the caller hung up, or the server stops
            call.refusal = why
            return None
        finally:
            self._waiting.pop(call, None)
            if call.caller is not None:
                call.task = None
        if message is None:
            self._wasted.note(call.peer)
            call.refusal = InvalidRequest("the call has no message", remedy="Send one message of mintonce.v1.")
        return message

    async def sweep(self) -> None:
        """Dismiss calls whose message is late. Never returns."""
        while True:
            await asyncio.sleep(self._timeout / SWEEPS)
            late = self._clock.monotonic() - self._timeout
            for call in list(self._waiting):
                if call.at > late:
                    break  # those behind it call later
                self._dismiss(call, _too_late(self._timeout))

    def _make_room(self) -> None:
        """Dismiss the oldest waiting calls of the owner with most of them: several, because the search visits all."""
        (largest, count), *_ = Counter(call.owner for call in self._waiting).most_common(1)
        theirs = [call for call in self._waiting if call.owner == largest]
        for call in theirs[: 1 + count // 4]:
            self._dismiss(call, _crowded())

    def _take_in_unknown(self, call: Call) -> None:
        if len(self._unknown.all) >= MAX_UNKNOWN:
            oldest = next(iter(self._unknown.of(self._unknown.largest())))
            self._unknown.remove(oldest)
            self._dismiss(oldest, _crowded())
        call.task = asyncio.current_task()
        self._unknown.add(call, call.owner)
        self._wasted.note(call.peer)

    def _seat(self, call: Call, caller: Caller, quotas: Quotas | None, *, streams: bool) -> None:
        self._seats.take()
        call.seats = (self._seats,)
        if quotas is not None and not streams:  # watches have a limit of their own
            of_caller = quotas.calling(caller.name)
            of_caller.take()
            call.seats = (self._seats, of_caller)

    def _dismiss(self, call: Call, why: MintonceError) -> None:
        self._waiting.pop(call, None)
        call.dismiss(why)

    def _ended(self, call: Call, _: object) -> None:
        """The call has ended: its answer has been sent, or never will be."""
        for seats in call.seats:
            seats.free()
        self._unknown.remove(call)
        call.task = None
        call.transport.release()


class WastedCalls:
    """Counts calls of one listener without an identity or a message, calls to methods that do not exist, and probes.

    Closes a connection that makes a thousand of them within ten seconds; or, while all connections together make more
    than `max_per_second`, one that has made ten of them within this second. A client that connects again can make a few
    calls, so a client with a mistake of its own still learns what is wrong.
    """

    def __init__(self, max_per_second: int, clock: Clock, close: Close) -> None:
        self._max_per_second = max_per_second
        self._clock = clock
        self._close = close
        self._in_second: Counter[str] = Counter()
        self._in_period: Counter[str] = Counter()
        self._second_ends = self._period_ends = 0.0
        self._total = 0
        self._gone: dict[str, float] = {}

    def is_gone(self, peer: str) -> bool:
        """Whether the peer's connection was closed a moment ago: it would get no answer."""
        return bool(self._gone) and self._gone.get(peer, 0.0) > self._clock.monotonic()

    def note(self, peer: str) -> None:
        """Count one more, of this peer as gRPC names it."""
        now = self._clock.monotonic()
        self._begin_windows(now)
        self._total += 1
        self._in_second[peer] += 1
        self._in_period[peer] += 1
        if self._is_too_much(peer):
            guilty = {peer for peer in self._in_second.keys() | self._in_period.keys() if self._is_too_much(peer)}
            for peer in guilty:
                self._in_second.pop(peer, None)
                self._in_period.pop(peer, None)
            self._gone = {peer: until for peer, until in self._gone.items() if until > now}
            self._gone.update(dict.fromkeys(self._close(guilty), now + GONE))

    def _begin_windows(self, now: float) -> None:
        if now >= self._second_ends or len(self._in_second) > MAX_PEERS:
            self._second_ends, self._total = now + SECOND, 0
            self._in_second.clear()
        if now >= self._period_ends or len(self._in_period) > MAX_PEERS:
            self._period_ends = now + PERIOD
            self._in_period.clear()

    def _is_too_much(self, peer: str) -> bool:
        if self._in_period[peer] >= MAX_PER_PERIOD:
            return True
        return self._total > self._max_per_second and self._in_second[peer] >= FEW


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
