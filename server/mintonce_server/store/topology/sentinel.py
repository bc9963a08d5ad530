"""The primary that Sentinels name. Follows a failover by itself."""

from asyncio import gather, timeout
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

from mintonce_server.store.causes import NoPrimary, UnknownService
from mintonce_server.store.commands import Commands, Pipeline, Scannable
from mintonce_server.store.topology.address import Address
from mintonce_server.store.topology.closer import look_closer
from mintonce_server.store.topology.discovery import Lookout, poll
from mintonce_server.store.topology.pool import Pool, Pools, sentinel_options, server_options
from mintonce_server.store.topology.ports import Ear, Part
from mintonce_server.store.topology.url import Target

LOOK_EVERY: Final = 0.5
"""Seconds. A former primary that does not know of its fall is written to for so long, and loses that again."""

LOOK_SHARE: Final = 0.4
"""Of an operation's deadline, for each of a look's two steps: a call that waits for a look has time left to use it."""


class SentinelServers:
    """Implements ports.Servers.

    The Sentinels are asked all at once, and what most say counts. Who is named must say itself that it is a primary:
    in the middle of a failover, Sentinels name the former one for a while.
    """

    ears = 1
    sharded = False

    def __init__(self, target: Target, deadline: float) -> None:
        self.name = target.name
        self._target = target
        self._step = LOOK_SHARE * deadline
        self._deadline = deadline
        self._sentinels = Pools(sentinel_options(target), self._step)
        self._servers = Pools(server_options(target), deadline)
        self._lookout = Lookout(self._look, every=LOOK_EVERY, patience=2 * self._step)
        self._client = _Client(self._lookout, self._servers)

    @property
    def client(self) -> Commands:
        return self._client

    async def shards(self) -> Sequence[Scannable]:
        return [self._servers.at(await self._lookout.find())]

    async def parts(self) -> Sequence[Part]:
        primary = await self._lookout.find()
        return [Part(str(primary), self._servers.at(primary))]

    async def ear(self, avoid: Callable[[], Collection[str]]) -> Ear:
        primary = await self._lookout.find()
        connection = self._servers.connection(primary)
        return Ear(connection, str(primary), lambda: self._lookout.view != primary)

    async def doubt(self, error: Exception) -> None:
        self._lookout.doubt()

    def suspects(self) -> Sequence[str]:
        return ()

    async def look_closer(self) -> Exception | None:
        primary = [self._lookout.view] if self._lookout.view else []
        return await look_closer(self._target, [*self._target.addresses, *primary], self._deadline)

    async def renew(self, only: Collection[Pool] | None = None) -> None:
        await self._servers.renew(only)

    async def retire(self) -> None:
        await self._lookout.close()
        await self._sentinels.retire()
        await self._servers.retire()

    async def close(self) -> None:
        await self._lookout.close()
        await self._sentinels.close()
        await self._servers.close()

    async def _look(self) -> Address:
        named = await poll([self._named_by(sentinel) for sentinel in self._target.addresses], self._step)
        primary = await self._primary_of(named)
        if self._lookout.view not in (None, primary):
            await self._servers.keep([primary])
        return primary

    async def _named_by(self, sentinel: Address) -> Address:
        asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.service)
        match await self._sentinels.at(sentinel).execute_command(*asked):
            case [bytes(host), bytes(port)]:
                return Address(host.decode(), int(port))
            case _:
                raise UnknownService(self._target.service)

    async def _primary_of(self, named: Sequence[Address]) -> Address:
        """The first that says it is one. All are asked at the same time: one of them may be stopped."""
        roles = await gather(*map(self._role_of, named), return_exceptions=True)
        for address, role in zip(named, roles, strict=True):
            if role == b"master":
                return address
        errors = [role for role in roles if isinstance(role, Exception)]
        raise NoPrimary("no server that the Sentinels name is a primary") from (errors[0] if errors else None)

    async def _role_of(self, server: Address) -> object:
        async with timeout(self._step):
            role = await self._servers.at(server).execute_command("ROLE")
            return cast(list[object], role)[0]


class _Client:
    """Implements Commands: each on the primary of the moment."""

    def __init__(self, lookout: Lookout[Address], servers: Pools) -> None:
        self._lookout = lookout
        self._servers = servers

    async def _primary(self) -> Commands:
        return self._servers.at(await self._lookout.find())

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
