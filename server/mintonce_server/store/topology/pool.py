"""Pools of connections, one a server. All that is set on redis-py's connections is set here."""

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
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from mintonce_server.store.commands import ServerCommands
from mintonce_server.store.topology.address import Address
from mintonce_server.store.topology.url import Target

MAX_CONNECTIONS: Final = 32
KEEP: Final = 64
"""Pools. One that is emptied costs little, but servers in containers change their addresses forever."""

IDLE: Final = 1.0
"""Seconds. A connection that was idle for longer may have been forgotten by a firewall, NAT or load balancer between
us and the server: nothing comes back on it then, not even an error."""

KEEPALIVE: Final = {
    option: value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if (option := getattr(socket, name, None)) is not None
}
"""Probes after 30 s of silence: sooner than what is in between forgets a connection (minutes, 60 s at the least). Three
without an answer, 5 s apart, end it."""


class TlsConnection(SSLConnection):
    """With a context that all share: redis-py loads the system's authorities anew for each connection."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] # redis-py gives no types here
        self.ssl_context.context = tls


class OldConnections:
    """Notes which pools gave one try of an operation connections that had been idle for longer than IDLE."""

    def __init__(self) -> None:
        self.pools: set[Pool] = set()
        self.held: dict[AbstractConnection, Pool] = {}
        """Those not given back yet: nothing was heard on them."""


noting: ContextVar[OldConnections | None] = ContextVar("noting", default=None)
"""Where the running try notes it. Tasks that the try starts inherit it."""


class Pool(BlockingConnectionPool):
    """One that can be retired while its connections are in use, and that knows how long each has been idle."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] # redis-py gives no types here
        self._retired = False
        self._idle_since: WeakKeyDictionary[AbstractConnection, float] = WeakKeyDictionary()

    async def get_connection(self, command_name: object = None, *keys: Any, **options: Any) -> AbstractConnection:
        """One that is connected, to be given back by `release`."""
        # redis-py gives no types here
        connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call] # pyright: ignore[reportUnknownMemberType]
        idle_since = self._idle_since.pop(connection, None)
        if idle_since is not None and get_running_loop().time() - idle_since > IDLE and (note := noting.get()):
            note.pools.add(self)
            note.held[connection] = self
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take it back, and close it if the pool is retired."""
        if note := noting.get():
            note.held.pop(connection, None)
        if self._retired:
            await connection.disconnect(nowait=True)
        elif connection.is_connected:
            self._idle_since[connection] = get_running_loop().time()
        try:
            await super().release(connection)
        except BaseException:
            # Cancelled while it waits for its turn: redis-py forgets the connection then, open as it is.
            self._in_use_connections.discard(connection)
            await connection.disconnect(nowait=True)
            raise

    @property
    def is_in_use(self) -> bool:
        """Whether one of its connections is in use."""
        return bool(self._get_in_use_connections())

    async def retire(self) -> None:
        """Close what is idle now, and the rest when it comes back.

        redis-py's own `disconnect` takes connections away from their users, who then fail with AttributeError. Its
        `update_active_connections_for_reconnect` has each release wait for a close while it holds the pool's lock: a
        command that is cancelled meanwhile, in the line for the lock, never gives its connection back.
        """
        self._retired = True
        for connection in list(self._get_free_connections()):
            # Without waiting, so that nobody can take it from the pool meanwhile.
            await connection.disconnect(nowait=True)


class Pools:
    """Clients of servers, by address. They make no retries of their own and decode nothing."""

    def __init__(self, options: dict[str, Any], deadline: float) -> None:
        self._options: dict[str, Any] = options | {
            # RESP2 gives the same plain lists from every server and needs no handshake.
            "protocol": 2,
            "decode_responses": False,
            # redis-py's own defaults go on for 40 s and more against a stopped server.
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": deadline,
            "socket_timeout": deadline,
        }
        self._deadline = deadline
        self._pools: dict[Address | None, Pool] = {}
        self._clients: dict[Address | None, Redis] = {}
        self._retired: list[Pool] = []

    def at(self, address: Address | None) -> ServerCommands:
        """The client of that server. None: where the options say."""
        if address not in self._clients:
            self._clients[address] = Redis.from_pool(self._pool(address))
        return cast(ServerCommands, self._clients[address])

    def connection(self, address: Address | None) -> AbstractConnection:
        """A new one outside the pool, not yet connected."""
        make: Callable[[], AbstractConnection] = self._pool(address).make_connection
        return make()

    async def hang_up(self, address: Address | None) -> None:
        """Use no connection to that server for anything new; those in use close when they are done."""
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
            await self.hang_up(address)
            if len(self._pools) > KEEP:
                self._clients.pop(address, None)
                self._pools.pop(address, None)

    async def renew(self, only: Collection[Pool] | None = None) -> None:
        """Use new connections from now on, to every server or only in place of these pools."""
        for address, pool in list(self._pools.items()):
            if only is None or pool in only:
                await self.hang_up(address)

    async def retire(self) -> None:
        """Close what is idle; from now on nothing stays open that is not in use."""
        for pool in self._pools.values():
            await pool.retire()

    async def close(self) -> None:
        """Close everything, also what is in use."""
        pools = (*self._pools.values(), *self._retired)
        # One whose server does not answer to the end of TLS keeps no other one open.
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
    """How to reach the servers that keep the data. Raises ValueError if a TLS file cannot be read."""
    options = _transport(target) | {"username": target.username, "password": target.password, "db": target.db}
    return options | ({"path": target.path} if target.path else {})


def sentinel_options(target: Target) -> dict[str, Any]:
    """How to reach the Sentinels. Raises ValueError as above."""
    return _transport(target) | {"username": target.sentinel_username, "password": target.sentinel_password}


def _transport(target: Target) -> dict[str, Any]:
    if target.path:
        return {"connection_class": UnixDomainSocketConnection}
    alive = {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if target.tls:
        return alive | {"connection_class": TlsConnection, "tls": tls_context(target)}
    return alive | {"connection_class": Connection}


def tls_context(target: Target) -> ssl.SSLContext:
    """With `ssl_ca_certs`, the authorities in that file count instead of the system's."""
    if target.context is not None:
        return target.context
    authorities, certificate, key = map(target.file, ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError("a TLS file named in the Redis URL (ssl_…) cannot be read, or is not PEM") from error
    return as_told(target, context)


def as_told(target: Target, context: ssl.SSLContext) -> ssl.SSLContext:
    """With the options of the URL that are no files."""
    context.check_hostname = target.check_hostname and target.verified
    if not target.verified:
        context.verify_mode = ssl.CERT_NONE
    return context
