"""A Cluster. redis-py's own client looks for servers during calls, which then miss their deadlines."""

import random
from asyncio import CancelledError, gather, timeout_at
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, Self

from redis.asyncio.connection import ConnectionPool
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ConnectionError, MovedError, TryAgainError

from mintonce_server.common.redis_url import Address, Target
from mintonce_server.store.topology.diagnosis import diagnose
from mintonce_server.store.topology.discovery import Discovery, poll
from mintonce_server.store.topology.pool import Pools, server_options
from mintonce_server.store.topology.routing import Router, SlotMap, Words, all_of, read_slots
from mintonce_server.store.topology.servers import Commands, Pipeline, Shard, Subscription

ROUNDS: Final = 2
"""How often commands are sent as batches; those still at the wrong server after that are sent one by one."""

LOOK_EVERY: Final = 5.0
"""Seconds. When a slot has moved, the servers report it at once."""

LOOK_SHARE: Final = 0.6
"""Of an operation's deadline: a call that waits for a refresh has time left to use it."""

QUERIED: Final = 5
"""Servers that a refresh queries."""


class Batch:
    """Implements Pipeline for commands of one key each. Servers get their shares in parallel, in one round trip."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._commands: list[tuple[str, Words]] = []
        self._answers: list[object] = []

    def hget(self, name: str, key: str) -> Self:
        return self._add(name, "HGET", name, key)

    def pttl(self, name: str) -> Self:
        return self._add(name, "PTTL", name)

    def hmget(self, name: str, keys: Sequence[str]) -> Self:
        return self._add(name, "HMGET", name, *keys)

    def time(self) -> Self:
        return self._add(self._commands[-1][0], "TIME")

    async def execute(self, raise_on_error: bool = True) -> list[object]:
        """The answers, in the order of the commands. Raises RedisError, or returns it in the answer's place.

        One deadline ends all waits. The answers of the other servers are kept if one server has not answered by then.
        """
        late = TimeoutError("no answer within a batch's time")
        self._answers = [late] * len(self._commands)
        end = await self._router.batch_end()
        with suppress(TimeoutError):
            async with timeout_at(end) as limit:
                try:
                    await self._round(range(len(self._commands)), ROUNDS)
                except CancelledError:
                    if not limit.expired():
                        raise
                    # Perhaps cancelled twice: after a long pause of the process, the operation's deadline ends in the
                    # same moment. The answers so far count; `raise_if_cancelled` raises the caller's cancellation.
        for answer in self._answers:
            if raise_on_error and isinstance(answer, Exception):
                raise answer
        return self._answers

    def _add(self, name: str, *words: str | int | bytes) -> Self:
        self._commands.append((name, words))
        return self

    async def _round(self, indexes: Sequence[int], rounds: int) -> None:
        """Send these, all servers' shares in parallel. No share waits for another."""
        shares = self._by_server(indexes)
        await all_of([self._share(address, share, rounds) for address, share in shares.items()])

    def _by_server(self, indexes: Sequence[int]) -> Mapping[Address | None, Sequence[int]]:
        shares: defaultdict[Address | None, list[int]] = defaultdict(list)
        for index in indexes:
            shares[self._router.last_known(key_slot(self._commands[index][0].encode()))].append(index)
        return shares

    async def _share(self, address: Address | None, indexes: Sequence[int], rounds: int) -> None:
        """One server's share by the last view. If the server failed, another one may have it after a refresh."""
        failed = await self._router.refreshed_after_failure(address)
        shares = self._by_server(indexes) if failed else {address: indexes}
        await all_of([self._send(to, share, rounds) for to, share in shares.items()])

    async def _send(self, address: Address | None, indexes: Sequence[int], rounds: int) -> None:
        """Send a share to one server. Its error is the answer to these commands only."""
        if address is None:
            replies: Sequence[object] = [ClusterDownError("no server has the slot")] * len(indexes)
        else:
            replies = await self._replies_or_error(address, indexes)
        elsewhere: list[int] = []
        for index, answer in zip(indexes, replies, strict=True):
            self._answers[index] = answer
            if isinstance(answer, MovedError) and address is not None:
                self._router.learn(answer, address)
            if isinstance(answer, AskError | TryAgainError):
                elsewhere.append(index)
        if elsewhere and rounds > 1:
            await self._round(elsewhere, rounds - 1)
        elif elsewhere:
            await self._one_by_one(elsewhere)

    async def _one_by_one(self, indexes: Sequence[int]) -> None:
        for index in indexes:
            try:
                self._answers[index] = await self._router.send(*self._commands[index])
            except Exception as error:  # noqa: BLE001 - the answer to this command
                self._answers[index] = error

    async def _replies_or_error(self, address: Address, indexes: Sequence[int]) -> Sequence[object]:
        try:
            with self._router.suspecting(address):
                return await self._replies(address, indexes)
        except Exception as error:  # noqa: BLE001 - the answer to these commands
            return [error] * len(indexes)

    async def _replies(self, address: Address, indexes: Sequence[int]) -> list[object]:
        async with self._router.pools.at(address).pipeline(transaction=False) as pipeline:
            for index in indexes:
                pipeline.execute_command(*self._commands[index][1])
            # Not raised by the pipeline: redirections are not errors.
            return await pipeline.execute(raise_on_error=False)


class ClusterServers:
    """Implements Servers.

    Every server of the Cluster receives every wake message. With subscriptions to two, the loss of one loses none.
    """

    subscriptions = 2
    sharded = True

    def __init__(self, target: Target, deadline: float) -> None:
        self.name = target.name
        self._seeds = target.addresses
        self._target, self._deadline = target, deadline
        self._step = LOOK_SHARE * deadline
        self._pools = Pools(server_options(target), deadline)
        self._discovery = Discovery(self._look, every=LOOK_EVERY, max_wait=self._step)
        self._router = Router(self._discovery, self._pools, deadline)
        self._client = _Client(self._router)
        self._rng = random.Random()  # noqa: S311 - spreads queries and subscriptions; no secret

    @property
    def client(self) -> Commands:
        return self._client

    async def shards(self) -> Sequence[Shard]:
        view = await self._discovery.find()
        return [
            Shard(str(address), self._pools.at(address), partial(_has, view, address)) for address in view.primaries
        ]

    async def subscription(self, avoid: Callable[[], Collection[str]]) -> Subscription:
        servers = (await self._discovery.find()).servers
        avoided = avoid()
        where = self._rng.choice([address for address in servers if str(address) not in avoided] or servers)
        return Subscription(self._pools.connection(where), str(where), lambda: not self._knows(where))

    async def invalidate(self, error: Exception) -> None:
        if isinstance(error, ClusterDownError):
            self._discovery.invalidate()
        else:  # the router knows which server failed
            self._discovery.refresh()

    def suspects(self) -> Sequence[str]:
        return self._router.suspects()

    async def diagnose(self) -> Exception | None:
        view = self._discovery.view
        return await diagnose(self._target, [*self._seeds, *(view.primaries if view else ())], self._deadline)

    async def renew(self, only: Collection[ConnectionPool] | None = None) -> None:
        await self._pools.renew(only)

    async def retire(self) -> None:
        await self._discovery.close()
        await self._pools.retire()

    async def close(self) -> None:
        await self._discovery.close()
        await self._pools.close()

    def _knows(self, address: Address) -> bool:
        view = self._discovery.view
        return view is None or address in view.servers

    async def _look(self) -> SlotMap:
        last = self._discovery.view
        known = sorted({*self._seeds, *(last.servers if last else ())})
        queried = self._rng.sample(known, min(QUERIED, len(known)))
        found = (await poll([self._seen_by(address) for address in queried], self._step))[0]
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
        """To each shard: the store works only if all answer."""
        pings = [self._router.ping(address) for address in await self._router.primaries()]
        answers = await gather(*pings, return_exceptions=True)  # all complete: cancelled ones would look faulty, too
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
