"""Pools of connections, one a server. All that is set on redis-py's connections is set here."""

import ssl
from collections.abc import Callable, Collection
from typing import Any, Final, cast

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
from mintonce_server.store.servers.address import Address
from mintonce_server.store.servers.url import Target

MAX_CONNECTIONS: Final = 32
KEEP: Final = 64
"""Pools. One that is emptied costs little, but servers in containers change their addresses forever."""


class TlsConnection(SSLConnection):
    """With a context that all share: redis-py loads the system's authorities anew for each connection."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType] # redis-py gives no types here
        self.ssl_context.context = tls


class Pool(BlockingConnectionPool):
    """One whose connections can be replaced while they are in use."""

    async def renew(self) -> None:
        """Close what is idle now, and the rest when it comes back.

        redis-py's own `disconnect` takes connections away from their users, who then fail with AttributeError.
        """
        await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call] # redis-py gives no types here
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
        self._clients: dict[Address | None, ServerCommands] = {}

    def at(self, address: Address | None) -> ServerCommands:
        """The client of that server. None: where the options say."""
        if address not in self._clients:
            self._clients[address] = cast(ServerCommands, Redis.from_pool(self._pool(address)))
        return self._clients[address]

    def connection(self, address: Address | None) -> AbstractConnection:
        """A new one outside the pool, not yet connected."""
        make: Callable[[], AbstractConnection] = self._pool(address).make_connection
        return make()

    async def hang_up(self, address: Address | None) -> None:
        """Use no connection to that server for anything new; those in use close when they are done."""
        if address in self._pools:
            await self._pools[address].renew()

    async def keep(self, wanted: Collection[Address]) -> None:
        """Close the connections to all other servers."""
        for address in [address for address in self._pools if address not in wanted]:
            await self.hang_up(address)
            if len(self._pools) > KEEP:
                self._clients.pop(address, None)
                del self._pools[address]

    async def renew(self) -> None:
        """Use new connections from now on, to every server."""
        for address in list(self._pools):
            await self.hang_up(address)

    async def close(self) -> None:
        """Close everything, also what is in use."""
        for pool in self._pools.values():
            await pool.disconnect()

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
    if target.tls:
        return {"connection_class": TlsConnection, "tls": tls_context(target)}
    return {"connection_class": Connection}


def tls_context(target: Target) -> ssl.SSLContext:
    """With `ssl_ca_certs`, the authorities in that file count instead of the system's."""
    authorities, certificate, key = map(target.file, ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError("a TLS file named in the Redis URL (ssl_…) cannot be read, or is not PEM") from error
    context.check_hostname = target.check_hostname and target.verified
    if not target.verified:
        context.verify_mode = ssl.CERT_NONE
    return context
