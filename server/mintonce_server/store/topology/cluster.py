"""A Cluster. redis-py's own client of one looks for the servers inside of calls, which then miss their deadlines."""

import random
from asyncio import gather
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from redis.exceptions import ClusterDownError, ConnectionError

from mintonce_server.store.commands import Commands, Pipeline, Scannable
from mintonce_server.store.topology.address import Address
from mintonce_server.store.topology.batch import Batch
from mintonce_server.store.topology.closer import look_closer
from mintonce_server.store.topology.discovery import Lookout, poll
from mintonce_server.store.topology.pool import Pool, Pools, server_options
from mintonce_server.store.topology.ports import Ear, Part
from mintonce_server.store.topology.routing import Router
from mintonce_server.store.topology.slots import SlotMap, read_slots
from mintonce_server.store.topology.url import Target

LOOK_EVERY: Final = 5.0
"""Seconds. The servers themselves say at once when a slot has moved."""

LOOK_SHARE: Final = 0.6
"""Of an operation's deadline: a call that waits for a look has time left to use it."""

ASKED: Final = 5
"""Servers that a look asks."""


class ClusterServers:
    """Implements ports.Servers.

    Any server of the Cluster hears every wake message. Two are listened to, so that the loss of one loses none.
    """

    ears = 2
    sharded = True

    def __init__(self, target: Target, deadline: float) -> None:
        self.name = target.name
        self._seeds = target.addresses
        self._target, self._deadline = target, deadline
        self._step = LOOK_SHARE * deadline
        self._pools = Pools(server_options(target), deadline)
        self._lookout = Lookout(self._look, every=LOOK_EVERY, patience=self._step)
        self._router = Router(self._lookout, self._pools, deadline)
        self._client = _Client(self._router)
        self._spread = random.Random()  # noqa: S311 - spreads questions and subscriptions; no secret

    @property
    def client(self) -> Commands:
        return self._client

    async def shards(self) -> Sequence[Scannable]:
        return [self._pools.at(address) for address in await self._router.primaries()]

    async def parts(self) -> Sequence[Part]:
        view = await self._lookout.find()
        return [Part(str(address), self._pools.at(address), partial(_has, view, address)) for address in view.primaries]

    async def ear(self, avoid: Callable[[], Collection[str]]) -> Ear:
        servers = (await self._lookout.find()).servers
        avoided = avoid()
        where = self._spread.choice([address for address in servers if str(address) not in avoided] or servers)
        return Ear(self._pools.connection(where), str(where), lambda: not self._knows(where))

    async def doubt(self, error: Exception) -> None:
        if isinstance(error, ClusterDownError):
            self._lookout.doubt()
        else:  # the router knows of which server
            self._lookout.refresh()

    def suspects(self) -> Sequence[str]:
        return self._router.suspects()

    async def look_closer(self) -> Exception | None:
        view = self._lookout.view
        return await look_closer(self._target, [*self._seeds, *(view.primaries if view else ())], self._deadline)

    async def renew(self, only: Collection[Pool] | None = None) -> None:
        await self._pools.renew(only)

    async def retire(self) -> None:
        await self._lookout.close()
        await self._pools.retire()

    async def close(self) -> None:
        await self._lookout.close()
        await self._pools.close()

    def _knows(self, address: Address) -> bool:
        view = self._lookout.view
        return view is None or address in view.servers

    async def _look(self) -> SlotMap:
        last = self._lookout.view
        known = sorted({*self._seeds, *(last.servers if last else ())})
        asked = self._spread.sample(known, min(ASKED, len(known)))
        found = (await poll([self._seen_by(address) for address in asked], self._step))[0]
        if last and last.servers != found.servers:
            await self._pools.keep({*self._seeds, *found.servers})
        return found

    async def _seen_by(self, server: Address) -> SlotMap:
        return read_slots(await self._pools.at(server).execute_command("CLUSTER", "SLOTS"), server)


def _has(view: SlotMap, address: Address, slot: int) -> bool:
    return view.primary(slot) == address


class _Client:
    """Implements Commands."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | int | bytes) -> object:
        return await self._router.send(str(keys_and_args[0]), ("EVALSHA", sha, numkeys, *keys_and_args))

    async def eval(self, script: str, numkeys: int, *keys_and_args: str | int | bytes) -> object:
        return await self._router.send(str(keys_and_args[0]), ("EVAL", script, numkeys, *keys_and_args))

    async def ping(self) -> object:
        """Each shard: the store answers only if all do."""
        pings = [self._router.ping(address) for address in await self._router.primaries()]
        answers = await gather(*pings, return_exceptions=True)  # all to their end: else others look faulty, too
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return all(answers)

    @asynccontextmanager
    async def pipeline(self, transaction: bool) -> AsyncGenerator[Pipeline]:
        if transaction:
            raise ConnectionError("a Cluster has no transactions across its servers")
        yield Batch(self._router)

    async def aclose(self) -> None:
        await self._router.pools.close()
