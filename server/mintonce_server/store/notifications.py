"""The wake channel: authenticated messages, and the subscriptions that receive them."""

import hashlib
import hmac
import re
from asyncio import Queue, create_task, gather, get_running_loop, sleep, timeout
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import Final, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.observability.store_meter import StoreMeter
from mintonce_server.store.link import Link, raise_if_cancelled
from mintonce_server.store.topology.servers import Subscription

VERSION: Final = b"2"
"""First word of each message. It changes if an old release would misread a new one's messages."""

MAX_BYTES: Final = 160
"""Longer messages are dropped unread."""

REPORT_INTERVAL: Final = 60.0
"""Minimum seconds between two reports of dropped messages."""

PING_INTERVAL: Final = 1.0
"""Seconds of silence until a PING, and again until its answer counts as missing. redis-py does not detect that."""

CONNECT_DEADLINE: Final = 2.0

RETRY_FIRST: Final = 0.05

RETRY_MAX: Final = 2.0

STEADY: Final = 5.0
"""Seconds that a subscription must last to count as a success."""

SAME_WITHIN: Final = 2.0
"""Seconds within which the same message from two servers counts once. A later one only causes an extra wakeup."""

REMEMBERED: Final = 10_000
"""Maximum number of messages to remember."""

GAP: Final = Wake(WakeKind.GAP, "", 0)

Decode = Callable[[bytes], Wake | None]
"""Reads one message. None: dropped."""

OnError = Callable[[StoreUnavailable], None]
"""Called for each subscription that broke."""

_MAC_DIGITS: Final = 32
_KEY_LABEL: Final = b"mintonce wake message key 2\0"  # no canonical token key begins like this, see core/key.py
_FORM: Final = re.compile(rb"2 (commit|reject|fail) ([0-9a-f]{1,64}) ([0-9]{1,19})")


class Notifications:
    """Writes and reads messages `2 kind hash generation mac`.

    Every Redis user with the right to publish can send any bytes. The MAC shows that the sender has the fleet's index
    key.
    """

    def __init__(
        self, index_key: bytes, on_drop: Callable[[], None] = lambda: None, meter: StoreMeter | None = None
    ) -> None:
        """`on_drop` is called for each message that `decode` drops."""
        self._meter = meter or StoreMeter()
        self._on_drop = on_drop
        self._key = hmac.digest(index_key, _KEY_LABEL, hashlib.sha256)

    def encode(self, kind: WakeKind, key_hash: str, generation: int) -> bytes:
        """The message to publish. `key_hash` is 1 to 64 lowercase hexadecimal digits."""
        self._meter.sent(kind, key_hash, generation)
        body = b"%s %s %s %d" % (VERSION, kind.encode(), key_hash.encode(), generation)
        return body + b" " + self._mac(body)

    def decode(self, data: bytes) -> Wake | None:
        """None for every message that this fleet did not send in this version."""
        match = self._genuine(data)
        if match is None:
            self._on_drop()
            return None
        kind, key_hash, generation = match.groups()
        wake = Wake(WakeKind(kind.decode()), key_hash.decode(), int(generation))
        self._meter.heard(wake)
        return wake

    def _genuine(self, data: bytes) -> re.Match[bytes] | None:
        if len(data) > MAX_BYTES:
            return None
        body, _, mac = data.rpartition(b" ")
        return _FORM.fullmatch(body) if hmac.compare_digest(mac, self._mac(body)) else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256).hex()[:_MAC_DIGITS].encode()


class Dropped:
    """Counts dropped messages and reports the count at most once in REPORT_INTERVAL seconds. Keeps no message."""

    def __init__(self, clock: Clock, report: Callable[[int], None]) -> None:
        self._clock = clock
        self._report = report
        self._count = 0
        self._reported_at = float("-inf")

    def add(self) -> None:
        """Count one more."""
        self._count += 1
        now = self._clock.monotonic()
        if now - self._reported_at >= REPORT_INTERVAL:
            count, self._count, self._reported_at = self._count, 0, now
            self._report(count)


async def wakes(link: Link, decode: Decode, on_error: OnError, rng: Random) -> AsyncGenerator[Wake]:
    """Messages as they arrive, endlessly; first a GAP, and another one after each renewed subscription.

    Close it, or cancel its consumer, to end it.
    """
    subscribers = [_Subscriber(link, decode, on_error, rng)]
    subscribers += [subscribers[0].another() for _ in range(1, link.subscriptions)]
    async with aclosing(subscribers[0].messages() if len(subscribers) == 1 else _merged(subscribers)) as messages:
        async for wake in messages:
            link.meter.woken(wake)
            yield wake


async def _merged(subscribers: Sequence["_Subscriber"]) -> AsyncGenerator[Wake]:
    """The messages of several subscribers, each once."""
    queue: Queue[Wake | Exception] = Queue(REMEMBERED)

    async def follow(subscriber: _Subscriber) -> None:
        try:
            async with aclosing(subscriber.messages()) as messages:
                async for wake in messages:
                    await queue.put(wake)
        except Exception as error:  # noqa: BLE001 - not swallowed: the consumer raises it
            await queue.put(error)

    tasks = [create_task(follow(subscriber), name="store-subscriber") for subscriber in subscribers]
    once = Once()
    try:
        while True:
            received = await queue.get()
            if isinstance(received, Exception):
                raise received
            if once.is_new(received, get_running_loop().time()):
                yield received
    finally:
        for task in tasks:
            task.cancel()
        await gather(*tasks, return_exceptions=True)


class Once:
    """Removes duplicates of recent messages."""

    def __init__(self) -> None:
        self._received: OrderedDict[Wake, float] = OrderedDict()

    def is_new(self, wake: Wake, now: float) -> bool:
        """`now`: seconds of a monotonic clock. A GAP is always new."""
        if wake == GAP:
            return True
        first = self._received.get(wake)
        if first is not None and now - first <= SAME_WITHIN:
            return False
        self._received[wake] = now
        self._received.move_to_end(wake)
        while len(self._received) > REMEMBERED:
            self._received.popitem(last=False)
        return True


class _Subscriber:
    """One subscription after the other, each to a server without another subscriber if there are enough servers."""

    def __init__(self, link: Link, decode: Decode, on_error: OnError, rng: Random) -> None:
        self._link = link
        self._decode = decode
        self._on_error = on_error
        self._rng = rng
        self.server = ""
        self._all: list[_Subscriber] = [self]
        self.begun = False

    def another(self) -> "_Subscriber":
        """Another subscriber. Both know each other."""
        other = _Subscriber(self._link, self._decode, self._on_error, self._rng)
        self._all.append(other)
        other._all = self._all
        return other

    async def messages(self) -> AsyncGenerator[Wake]:
        """Messages, with a GAP at the start of each subscription, except a first one with another subscriber."""
        failures = 0
        while True:
            began = get_running_loop().time()
            try:
                async with aclosing(self._subscription()) as subscription:
                    async for wake in subscription:
                        yield wake
            except StoreUnavailable as error:
                self._report(error)
            except Exception as error:  # noqa: BLE001 - a subscription may break in any way, and the next one follows
                raise_if_cancelled()
                await self._link.invalidate(error)
                self._report(self._link.unavailable(error))
            # A server that confirms and then breaks the connection must not be queried without a pause.
            failures = 0 if get_running_loop().time() - began >= STEADY else min(failures + 1, 10)
            # Full jitter: after an outage, the replicas do not return all at once.
            await sleep(self._rng.uniform(0.0, min(RETRY_MAX, RETRY_FIRST * 2**failures)))

    def _report(self, error: StoreUnavailable) -> None:
        self._link.diagnose_soon(error)
        self._on_error(error)

    async def _subscription(self) -> AsyncGenerator[Wake]:
        # Not where the others are, nor where this one has just been: that server is probably down.
        chosen = await self._link.subscription(lambda: [subscriber.server for subscriber in self._all])
        self.server = chosen.server
        alive = 0
        try:
            async with aclosing(_messages(chosen, self._link.names.wake_channel, self._decode)) as messages:
                async for wake in messages:
                    self._link.meter.subscriptions += 1 - alive  # the first one is a GAP: the server has confirmed it
                    alive = 1
                    if wake == GAP and not self._may_have_missed():
                        continue
                    yield wake
        finally:
            self._link.meter.subscriptions -= alive

    def _may_have_missed(self) -> bool:
        """Whether messages may have been missed: not if this is its first subscription and another one exists.

        If the other one received nothing meanwhile, its own next subscription begins with a GAP.
        """
        covered = not self.begun and any(subscriber.begun for subscriber in self._all)
        self.begun = True
        return not covered


async def _messages(subscription: Subscription, channel: str, decode: Decode) -> AsyncGenerator[Wake]:
    """The messages of one connection, after a GAP. Ends by an exception, or when its server is the wrong one now."""
    connection = subscription.connection
    try:
        async with timeout(CONNECT_DEADLINE):
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py gives no types here
            await connection.send_command("SUBSCRIBE", channel)
            while not _confirms(await _read(connection, CONNECT_DEADLINE)):
                pass
        yield GAP
        pinged = False
        while not subscription.stale():
            reply = await _read(connection, PING_INTERVAL)
            if reply is not None:
                pinged = False
                data = _published(reply)
                if data is not None and (wake := decode(data)):
                    yield wake
            elif pinged:
                raise ConnectionError("no answer to a PING")
            else:
                await connection.send_command("PING")
                pinged = True
    finally:
        # Without waiting: the peer may be stopped, and a cancelled task should end soon.
        with suppress(Exception):
            await connection.disconnect(nowait=True)


async def _read(connection: AbstractConnection, seconds: float) -> object:
    """None after so many seconds of silence."""
    raise_if_cancelled()
    return cast(object, await connection.read_response(timeout=seconds))


def _published(reply: object) -> bytes | None:
    """The text of a message. None for the answers to PING and SUBSCRIBE, which use the same connection."""
    match reply:
        case [b"message", bytes(), bytes(data)]:
            return data
        case _:
            return None


def _confirms(reply: object) -> bool:
    match reply:
        case [b"subscribe", object(), object()]:
            return True
        case _:
            return False
