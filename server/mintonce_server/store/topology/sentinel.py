"""The primary that Sentinels name. Follows a failover."""

from asyncio import gather, timeout
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

from redis.asyncio.connection import ConnectionPool

from mintonce_server.common.redis_url import Address, Target
from mintonce_server.store.causes import NoPrimary, UnknownService
from mintonce_server.store.topology.diagnosis import diagnose
from mintonce_server.store.topology.discovery import Discovery, poll
from mintonce_server.store.topology.pool import Pools, sentinel_options, server_options
from mintonce_server.store.topology.servers import Commands, Pipeline, Shard, Subscription

LOOK_EVERY: Final = 0.5
"""Seconds. Maximum time of writes to a former primary that does not know of the failover, and loses them again."""

LOOK_SHARE: Final = 0.4
"""Of an operation's deadline, for each of a refresh's two steps: a call that waits for one has time left to use it."""


class SentinelServers:
    """Implements Servers.

    All Sentinels are queried in parallel, and the majority counts. The named server must itself report that it is a
    primary: during a failover, Sentinels name the former one for a while.
    """

    subscriptions = 1
    sharded = False

    def __init__(self, target: Target, deadline: float) -> None:
        self.name = target.name
        self._target = target
        self._step = LOOK_SHARE * deadline
        self._deadline = deadline
        self._sentinels = Pools(sentinel_options(target), self._step)
        self._servers = Pools(server_options(target), deadline)
        self._discovery = Discovery(self._look, every=LOOK_EVERY, max_wait=2 * self._step)
        self._client = _Client(self._discovery, self._servers)

    @property
    def client(self) -> Commands:
        return self._client

    async def shards(self) -> Sequence[Shard]:
        primary = await self._discovery.find()
        return [Shard(str(primary), self._servers.at(primary))]

    async def subscription(self, avoid: Callable[[], Collection[str]]) -> Subscription:
        primary = await self._discovery.find()
        connection = self._servers.connection(primary)
        return Subscription(connection, str(primary), lambda: self._discovery.view != primary)

    async def invalidate(self, error: Exception) -> None:
        self._discovery.invalidate()

    def suspects(self) -> Sequence[str]:
        return ()

    async def diagnose(self) -> Exception | None:
        primary = [self._discovery.view] if self._discovery.view else []
        return await diagnose(self._target, [*self._target.addresses, *primary], self._deadline)

    async def renew(self, only: Collection[ConnectionPool] | None = None) -> None:
        await self._servers.renew(only)

    async def retire(self) -> None:
        await self._discovery.close()
        await self._sentinels.retire()
        await self._servers.retire()

    async def close(self) -> None:
        await self._discovery.close()
        await self._sentinels.close()
        await self._servers.close()

    async def _look(self) -> Address:
        named = await poll([self._named_by(sentinel) for sentinel in self._target.addresses], self._step)
        primary = await self._primary_of(named)
        if self._discovery.view not in (None, primary):
            await self._servers.keep([primary])
        return primary

    async def _named_by(self, sentinel: Address) -> Address:
        query = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.service)
        match await self._sentinels.at(sentinel).execute_command(*query):
            case [bytes(host), bytes(port)]:
                return Address(host.decode(), int(port))
            case _:
                raise UnknownService(self._target.service)

    async def _primary_of(self, named: Sequence[Address]) -> Address:
        """The first that reports to be one. All are queried in parallel: one of them may be stopped."""
        roles = await gather(*map(self._role_of, named), return_exceptions=True)
        for address, role in zip(named, roles, strict=True):
            if role == b"master":
                return address
        errors = [role for role in roles if isinstance(role, Exception)]
        raise NoPrimary("none of the servers that the Sentinels name is a primary") from (errors[0] if errors else None)

    async def _role_of(self, server: Address) -> object:
        async with timeout(self._step):
            role = await self._servers.at(server).execute_command("ROLE")
            return cast(list[object], role)[0]


class _Client:
    """Implements Commands, each on the current primary."""

    def __init__(self, discovery: Discovery[Address], servers: Pools) -> None:
        self._discovery = discovery
        self._servers = servers

    async def _primary(self) -> Commands:
        return self._servers.at(await self._discovery.find())

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | int | bytes) -> object:
        return await (await self._primary()).evalsha(sha, numkeys, *keys_and_args)

    async def eval(self, script: str, numkeys: int, *keys_and_args: str | int | bytes) -> object:
        return await (await self._primary()).eval(script, numkeys, *keys_and_args)

    async def ping(self) -> object:
        return await (await self._primary()).ping()

    @asynccontextmanager
    async def pipeline(self, transaction: bool) -> AsyncGenerator[Pipeline]:
        async with (await self._primary()).pipeline(transaction=transaction) as pipeline:
            yield pipeline

    async def aclose(self) -> None:
        await self._servers.close()
