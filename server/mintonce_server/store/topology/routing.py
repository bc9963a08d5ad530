"""Sends each command to the server of a Cluster that has its key, and follows where that points to."""

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar, cast

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ConnectionError, MovedError, ResponseError, TryAgainError

from mintonce_server.store.commands import ServerCommands
from mintonce_server.store.topology.address import Address
from mintonce_server.store.topology.discovery import Lookout
from mintonce_server.store.topology.pool import Pools
from mintonce_server.store.topology.slots import SlotMap

HOPS: Final = 5
"""How often a command is sent on before the servers count as disagreeing."""

TRY_AGAIN: Final = 0.01
"""Seconds. While a slot moves, a script whose keys are not all on one side has to wait; the deadline ends that."""

WAIT_SHARE: Final = 0.4
"""Of an operation's deadline: a call to a server that failed waits as long for a look."""

PART_SHARE: Final = 0.6
"""Of an operation's deadline: a batch waits as long for the slowest server, so that the others' answers are of use."""

WHOLE_SHARE: Final = 0.8
"""Of an operation's deadline: the same for a batch that first had to find the servers."""

Words = tuple[str | int | bytes, ...]
T = TypeVar("T")


class Router:
    """Knows the Cluster by its lookout, and what MOVED has taught since.

    `deadline`: seconds for an operation.
    """

    def __init__(self, lookout: Lookout[SlotMap], pools: Pools, deadline: float) -> None:
        self.pools = pools
        self._deadline = deadline
        self._lookout = lookout
        self._moved: dict[int, Address] = {}
        self._moved_in: SlotMap | None = None
        self._suspects: set[Address] = set()

    def suspects(self) -> list[str]:
        """Servers that failed and were not looked for since."""
        return sorted(map(str, self._suspects))

    async def primaries(self) -> Sequence[Address]:
        """Of all shards."""
        return (await self._lookout.find()).primaries

    async def ping(self, address: Address) -> object:
        """Whether that server answers. Raises RedisError."""
        with self.suspecting(address):
            return await self.pools.at(address).ping()

    async def address_of(self, slot: int) -> Address:
        """Raises ClusterDownError for a slot that nobody has."""
        address = self._address(slot, await self._lookout.find())
        if await self.looked_for(address):
            address = self._address(slot, await self._lookout.find())
        if address is None:
            raise ClusterDownError("no server has the slot")
        return address

    async def batch_end(self) -> float:
        """By the loop's clock: a batch that begins now has all its answers until then, or goes without."""
        clock = asyncio.get_running_loop().time
        began = clock()
        await self._lookout.find()
        return min(clock() + PART_SHARE * self._deadline, began + WHOLE_SHARE * self._deadline)

    def last_known(self, slot: int) -> Address | None:
        """Who has it by the last view. Waits for nothing."""
        view = self._lookout.view
        return None if view is None else self._address(slot, view)

    async def looked_for(self, address: Address | None) -> bool:
        """If this server failed, wait for a look. False: it did not fail.

        Only those wait whose server failed: the others of the Cluster are as good as before.
        """
        if address not in self._suspects:
            return False
        if await self._lookout.renewed(WAIT_SHARE * self._deadline):
            self._suspects.clear()
        return True

    @contextmanager
    def suspecting(self, address: Address) -> Generator[None]:
        """If the server inside fails or is too slow, it may not be the right one any more."""
        try:
            yield
        except ResponseError:
            raise  # a clear answer
        except (Exception, asyncio.CancelledError):
            if address not in self._suspects:  # else a look is on its way
                self._suspects.add(address)
                self._lookout.refresh()
            raise

    def _address(self, slot: int, view: SlotMap) -> Address | None:
        if view is not self._moved_in:
            # A new look knows it all, or better.
            self._moved, self._moved_in = {}, view
        return self._moved.get(slot) or view.primary(slot)

    async def send(self, key: str, words: Words) -> object:
        """One command, wherever the key is. Raises RedisError."""
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
        raise ConnectionError("the servers of the Cluster disagree about who has a slot")

    def learn(self, moved: MovedError, asked: Address) -> None:
        """Where a slot is now. The whole view is renewed, too, but nobody waits for that."""
        self._moved[moved.slot_id] = pointed_to(moved, asked)
        self._lookout.refresh()

    async def _ask(self, server: ServerCommands, words: Words) -> object:
        """One command to a server that is just taking the slot over."""
        async with server.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("ASKING")
            pipeline.execute_command(*words)
            # Not raised by the pipeline: the error's text would hold the command, and with it a token.
            answer = (await pipeline.execute(raise_on_error=False))[1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def pointed_to(error: AskError, asked: Address) -> Address:
    """Where an answer sends us. Without a host it means the one that was asked."""
    host = cast(str, error.host)  # pyright: ignore[reportUnknownMemberType] # redis-py leaves it open
    return Address(host or asked.host, error.port)


async def all_of(questions: Sequence[Awaitable[T]]) -> list[T]:
    """All at once; the first error ends the others."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
