"""One server, or a host name behind which a provider runs one."""

from collections.abc import Callable, Collection, Sequence

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ReadOnlyError

from mintonce_server.common.redis_url import Target
from mintonce_server.store.topology.diagnosis import diagnose
from mintonce_server.store.topology.pool import Pools, server_options
from mintonce_server.store.topology.servers import Commands, Shard, Subscription


class Single:
    """Implements Servers."""

    subscriptions = 1
    sharded = False

    def __init__(self, target: Target, deadline: float) -> None:
        self.name = target.name
        self._target, self._deadline = target, deadline
        self._address = target.addresses[0] if target.addresses else None
        self._pools = Pools(server_options(target), deadline)

    @property
    def client(self) -> Commands:
        return self._pools.at(self._address)

    async def shards(self) -> Sequence[Shard]:
        return [Shard(self.name, self._pools.at(self._address))]

    async def subscription(self, avoid: Callable[[], Collection[str]]) -> Subscription:
        return Subscription(self._pools.connection(self._address), self.name, _never)

    async def invalidate(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):
            # A hosted store that failed over behind its host name: only new connections reach the new primary.
            await self._pools.disconnect(self._address)

    def suspects(self) -> Sequence[str]:
        return ()

    async def diagnose(self) -> Exception | None:
        return await diagnose(self._target, self._target.addresses, self._deadline)

    async def renew(self, only: Collection[ConnectionPool] | None = None) -> None:
        await self._pools.renew(only)

    async def retire(self) -> None:
        await self._pools.retire()

    async def close(self) -> None:
        await self._pools.close()


def _never() -> bool:
    return False
