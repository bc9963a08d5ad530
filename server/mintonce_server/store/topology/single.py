"""One server, or a name behind which somebody else keeps one."""

from collections.abc import Callable, Collection, Sequence

from redis.exceptions import ReadOnlyError

from mintonce_server.store.commands import Commands, Scannable
from mintonce_server.store.topology.closer import look_closer
from mintonce_server.store.topology.pool import Pool, Pools, server_options
from mintonce_server.store.topology.ports import Ear, Part
from mintonce_server.store.topology.url import Target


class Single:
    """Implements ports.Servers."""

    ears = 1
    sharded = False

    def __init__(self, target: Target, deadline: float) -> None:
        self.name = target.name
        self._target, self._deadline = target, deadline
        self._address = target.addresses[0] if target.addresses else None
        self._pools = Pools(server_options(target), deadline)

    @property
    def client(self) -> Commands:
        return self._pools.at(self._address)

    async def shards(self) -> Sequence[Scannable]:
        return [self._pools.at(self._address)]

    async def parts(self) -> Sequence[Part]:
        return [Part(self.name, self._pools.at(self._address))]

    async def ear(self, avoid: Callable[[], Collection[str]]) -> Ear:
        return Ear(self._pools.connection(self._address), self.name, _never)

    async def doubt(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):
            # A hosted store that failed over behind its name: only new connections find the new primary.
            await self._pools.hang_up(self._address)

    def suspects(self) -> Sequence[str]:
        return ()

    async def look_closer(self) -> Exception | None:
        return await look_closer(self._target, self._target.addresses, self._deadline)

    async def renew(self, only: Collection[Pool] | None = None) -> None:
        await self._pools.renew(only)

    async def retire(self) -> None:
        await self._pools.retire()

    async def close(self) -> None:
        await self._pools.close()


def _never() -> bool:
    return False
