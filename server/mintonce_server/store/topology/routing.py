"""Which server of a Cluster has which slot. Sends each command there and follows redirections."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar, cast

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ConnectionError, MovedError, ResponseError, TryAgainError

from mintonce_server.common.redis_url import Address
from mintonce_server.store.causes import NoSlots
from mintonce_server.store.topology.discovery import Discovery
from mintonce_server.store.topology.pool import Pools
from mintonce_server.store.topology.servers import ServerCommands

HOPS: Final = 5
"""How many redirections a command follows before the servers count as inconsistent."""

TRY_AGAIN: Final = 0.01
"""Seconds. While a slot moves, a script whose keys are not all on one server has to wait; the deadline ends that."""

WAIT_SHARE: Final = 0.4
"""Of an operation's deadline: maximum wait of a call to a failed server for a refresh."""

PART_SHARE: Final = 0.6
"""Of an operation's deadline: maximum wait of a batch for the slowest server, while the others' answers are useful."""

WHOLE_SHARE: Final = 0.8
"""Of an operation's deadline: the same, including the time to find the servers."""

Words = tuple[str | int | bytes, ...]

T = TypeVar("T")


class Range(NamedTuple):
    """Slots from `first` to `last`, all on one server."""

    first: int
    last: int
    primary: Address


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The answer to CLUSTER SLOTS. Servers with the same view of the Cluster give equal ones."""

    ranges: tuple[Range, ...]
    replicas: tuple[Address, ...]

    @property
    def primaries(self) -> tuple[Address, ...]:
        """Each once."""
        return tuple(sorted({range_.primary for range_ in self.ranges}))

    @property
    def servers(self) -> tuple[Address, ...]:
        """All."""
        return tuple(sorted({*self.primaries, *self.replicas}))

    def primary(self, slot: int) -> Address | None:
        """None for a slot without a server."""
        at = bisect_right(self.ranges, slot, key=lambda range_: range_.first) - 1
        found = self.ranges[at] if at >= 0 else None
        return found.primary if found and slot <= found.last else None


def read_slots(reply: object, queried: Address) -> SlotMap:
    """`queried` replaces an endpoint without a host. Raises ConnectionError if the server knows no slots."""
    if not isinstance(reply, list):
        raise ConnectionError(f"{queried} gave no valid answer to CLUSTER SLOTS")
    if not reply:
        raise NoSlots(f"{queried} knows no server of its Cluster")
    ranges: list[Range] = []
    replicas: set[Address] = set()
    for row in cast(list[list[Any]], reply):
        try:
            first, last, primary, *others = row
            ranges.append(Range(int(first), int(last), _address(primary, queried)))
            replicas |= {_address(other, queried) for other in others}
        except (TypeError, ValueError, IndexError) as error:
            raise ConnectionError(f"{queried} gave no valid answer to CLUSTER SLOTS") from error
    return SlotMap(tuple(sorted(ranges)), tuple(sorted(replicas)))


def _address(server: Sequence[Any], queried: Address) -> Address:
    """From host and port, and perhaps more."""
    host, port = server[0], server[1]
    name = host.decode(errors="replace") if isinstance(host, bytes) else ""
    return Address(name if name not in ("", "?") else queried.host, int(port))


class Router:
    """Knows the Cluster by its discovery, and the moved slots since the last refresh.

    `deadline`: seconds for an operation.
    """

    def __init__(self, discovery: Discovery[SlotMap], pools: Pools, deadline: float) -> None:
        self.pools = pools
        self._deadline = deadline
        self._discovery = discovery
        self._moved: dict[int, Address] = {}
        self._moved_in: SlotMap | None = None
        self._suspects: set[Address] = set()

    def suspects(self) -> list[str]:
        """Servers that failed since the last refresh."""
        return sorted(map(str, self._suspects))

    async def primaries(self) -> Sequence[Address]:
        """The primaries of all shards."""
        return (await self._discovery.find()).primaries

    async def ping(self, address: Address) -> object:
        """PING that server. Raises RedisError."""
        with self.suspecting(address):
            return await self.pools.at(address).ping()

    async def address_of(self, slot: int) -> Address:
        """The server of this slot. Raises ClusterDownError if there is none."""
        address = self._address(slot, await self._discovery.find())
        if await self.refreshed_after_failure(address):
            address = self._address(slot, await self._discovery.find())
        if address is None:
            raise ClusterDownError("no server has the slot")
        return address

    async def batch_end(self) -> float:
        """The deadline for the answers of a batch that begins now, by the loop's clock."""
        clock = asyncio.get_running_loop().time
        began = clock()
        await self._discovery.find()
        return min(clock() + PART_SHARE * self._deadline, began + WHOLE_SHARE * self._deadline)

    def last_known(self, slot: int) -> Address | None:
        """The server of this slot by the last view, without waiting."""
        view = self._discovery.view
        return None if view is None else self._address(slot, view)

    async def refreshed_after_failure(self, address: Address | None) -> bool:
        """If this server failed, wait for a refresh. False: it did not fail.

        Calls to the other servers of the Cluster do not wait.
        """
        if address not in self._suspects:
            return False
        if await self._discovery.renewed(WAIT_SHARE * self._deadline):
            self._suspects.clear()
        return True

    @contextmanager
    def suspecting(self, address: Address) -> Generator[None]:
        """If the server fails or is too slow, it may be the wrong one now: it is suspected until the next refresh."""
        try:
            yield
        except ResponseError:
            raise  # a clear answer
        except (Exception, asyncio.CancelledError):
            if address not in self._suspects:  # else a refresh has been requested
                self._suspects.add(address)
                self._discovery.refresh()
            raise

    def _address(self, slot: int, view: SlotMap) -> Address | None:
        if view is not self._moved_in:
            # A new view includes all moves.
            self._moved, self._moved_in = {}, view
        return self._moved.get(slot) or view.primary(slot)

    async def send(self, key: str, words: Words) -> object:
        """Send one command to the server of its key. Raises RedisError."""
        slot, hops, sent_on = key_slot(key.encode()), 0, None
        while hops < HOPS:
            address = sent_on or await self.address_of(slot)
            try:
                with self.suspecting(address):
                    server = self.pools.at(address)
                    return await (self._ask(server, words) if sent_on else server.execute_command(*words))
            except MovedError as moved:
                self.learn(moved, address)
                sent_on, hops = None, hops + 1
            except AskError as ask:
                sent_on, hops = pointed_to(ask, address), hops + 1
            except TryAgainError:
                sent_on, hops = None, 0
                await asyncio.sleep(TRY_AGAIN)
        raise ConnectionError("the servers of the Cluster disagree about the server of a slot")

    def learn(self, moved: MovedError, queried: Address) -> None:
        """Record where a slot is now, and request a refresh without waiting for it."""
        self._moved[moved.slot_id] = pointed_to(moved, queried)
        self._discovery.refresh()

    async def _ask(self, server: ServerCommands, words: Words) -> object:
        """One command to a server that is taking over the slot."""
        async with server.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("ASKING")
            pipeline.execute_command(*words)
            # Not raised by the pipeline: the error's text would contain the command, and with it a token.
            answer = (await pipeline.execute(raise_on_error=False))[1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def pointed_to(error: AskError, queried: Address) -> Address:
    """The target of a redirection. Without a host, it is the queried host."""
    host = cast(str, error.host)  # pyright: ignore[reportUnknownMemberType] # redis-py leaves it open
    return Address(host or queried.host, error.port)


async def all_of(questions: Sequence[Awaitable[T]]) -> list[T]:
    """Await all in parallel. The first error cancels the others."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
