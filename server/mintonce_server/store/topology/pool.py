"""Connection pools, one for each server. All settings of redis-py's connections are here."""

import socket
import ssl
from asyncio import gather, get_running_loop
from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from mintonce_server.common.redis_url import Address, Target
from mintonce_server.store.topology.servers import ServerCommands
from mintonce_server.store.topology.tls import tls_context

MAX_CONNECTIONS: Final = 32
KEEP: Final = 64
"""Pools. An empty one costs little, but servers in containers get new addresses again and again."""

IDLE: Final = 1.0
"""Seconds. A connection that was idle for longer may have been dropped by a firewall, NAT or load balancer in between:
then nothing comes back on it, not even an error."""

KEEPALIVE: Final = {
    option: value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if (option := getattr(socket, name, None)) is not None
}
"""Probes after 30 s of silence: sooner than devices in between drop a connection (minutes, at least 60 s). Three probes
without an answer, 5 s apart, end it."""


class TlsConnection(SSLConnection):
    """Uses a shared context: redis-py would load the system's CAs for each connection."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] # redis-py gives no types here
        self.ssl_context.context = tls


class OldConnections:
    """Records the pools that gave one attempt of an operation connections that had been idle for longer than IDLE."""

    def __init__(self) -> None:
        self.pools: set[Pool] = set()
        self.held: dict[AbstractConnection, Pool] = {}
        """Connections not yet released: nothing was received on them."""


noting: ContextVar[OldConnections | None] = ContextVar("noting", default=None)
"""The record of the current attempt. Tasks that the attempt starts inherit it."""


class Pool(BlockingConnectionPool):
    """A pool that can be retired while its connections are in use, and that knows how long each has been idle."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] # redis-py gives no types here
        self._retired = False
        self._idle_since: WeakKeyDictionary[AbstractConnection, float] = WeakKeyDictionary()

    async def get_connection(self, command_name: object = None, *keys: Any, **options: Any) -> AbstractConnection:
        """A connected connection, to be returned by `release`."""
        # redis-py gives no types here
        connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call] # pyright: ignore[reportUnknownMemberType]
        idle_since = self._idle_since.pop(connection, None)
        if idle_since is not None and get_running_loop().time() - idle_since > IDLE and (note := noting.get()):
            note.pools.add(self)
            note.held[connection] = self
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Return the connection. It is closed if the pool is retired."""
        if note := noting.get():
            note.held.pop(connection, None)
        if self._retired:
            await connection.disconnect(nowait=True)
        elif connection.is_connected:
            self._idle_since[connection] = get_running_loop().time()
        try:
            await super().release(connection)
        except BaseException:
            # Cancelled while waiting for the pool's lock: redis-py would lose the connection without closing it.
            self._in_use_connections.discard(connection)
            await connection.disconnect(nowait=True)
            raise

    @property
    def is_in_use(self) -> bool:
        """Whether any of its connections is in use."""
        return bool(self._get_in_use_connections())

    async def retire(self) -> None:
        """Close idle connections now, and the others when they are released.

        redis-py's own `disconnect` takes connections away from their users, which then fail with AttributeError. Its
        `update_active_connections_for_reconnect` has each release wait for a close while it holds the pool's lock: a
        command that is cancelled while it waits for the lock never returns its connection.
        """
        self._retired = True
        for connection in list(self._get_free_connections()):
            # Without waiting, so that it cannot be taken from the pool meanwhile.
            await connection.disconnect(nowait=True)


class Pools:
    """Clients of servers, by address. They make no retries and decode nothing."""

    def __init__(self, options: dict[str, Any], deadline: float) -> None:
        self._options: dict[str, Any] = options | {
            # RESP2 gives the same plain lists from every server and needs no handshake.
            "protocol": 2,
            "decode_responses": False,
            # With redis-py's defaults, an operation on a stopped server takes 40 s and more.
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": deadline,
            "socket_timeout": deadline,
        }
        self._deadline = deadline
        self._pools: dict[Address | None, Pool] = {}
        self._clients: dict[Address | None, Redis] = {}
        self._retired: list[Pool] = []

    def at(self, address: Address | None) -> ServerCommands:
        """The client of that server. None: the server that the options name."""
        if address not in self._clients:
            self._clients[address] = Redis.from_pool(self._pool(address))
        return cast(ServerCommands, self._clients[address])

    def connection(self, address: Address | None) -> AbstractConnection:
        """A new one outside the pool, not yet connected."""
        make: Callable[[], AbstractConnection] = self._pool(address).make_connection
        return make()

    async def disconnect(self, address: Address | None) -> None:
        """Use no current connection to that server for new commands. Those in use are closed after their commands."""
        if (pool := self._pools.pop(address, None)) is None:
            return
        if (client := self._clients.get(address)) is not None:
            client.connection_pool = self._pool(address)
        self._retired = [retired for retired in self._retired if retired.is_in_use]
        self._retired.append(pool)
        await pool.retire()

    async def keep(self, wanted: Collection[Address]) -> None:
        """Close the connections to all other servers."""
        for address in [address for address in self._pools if address not in wanted]:
            await self.disconnect(address)
            if len(self._pools) > KEEP:
                self._clients.pop(address, None)
                self._pools.pop(address, None)

    async def renew(self, only: Collection[ConnectionPool] | None = None) -> None:
        """Use new connections from now on, for every server or only in place of these pools."""
        for address, pool in list(self._pools.items()):
            if only is None or pool in only:
                await self.disconnect(address)

    async def retire(self) -> None:
        """Close idle connections. From now on no connection stays open that is not in use."""
        for pool in self._pools.values():
            await pool.retire()

    async def close(self) -> None:
        """Close all connections, including those in use."""
        pools = (*self._pools.values(), *self._retired)
        # In parallel: a server that does not answer the end of TLS must not keep other connections open.
        await gather(*(pool.disconnect() for pool in pools), return_exceptions=True)

    def _pool(self, address: Address | None) -> Pool:
        if address not in self._pools:
            options = self._options.copy()
            if address is not None:
                options.update(host=address.host, port=address.port)
            options.update(max_connections=MAX_CONNECTIONS, timeout=self._deadline)
            self._pools[address] = Pool(**options)
        return self._pools[address]


def server_options(target: Target) -> dict[str, Any]:
    """How to reach the servers that store the data. Raises ValueError if a TLS file cannot be read."""
    options = _transport(target) | {"username": target.username, "password": target.password, "db": target.db}
    return options | ({"path": target.path} if target.path else {})


def sentinel_options(target: Target) -> dict[str, Any]:
    """How to reach the Sentinels. Raises ValueError if a TLS file cannot be read."""
    return _transport(target) | {"username": target.sentinel_username, "password": target.sentinel_password}


def _transport(target: Target) -> dict[str, Any]:
    if target.path:
        return {"connection_class": UnixDomainSocketConnection}
    alive = {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if target.tls:
        return alive | {"connection_class": TlsConnection, "tls": tls_context(target)}
    return alive | {"connection_class": Connection}
