"""The servers of a store, whatever their kind, as the link sees them; and what is used of redis-py's client."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio.connection import AbstractConnection, ConnectionPool


class Pipeline(Protocol):
    """Commands that are sent together. Each returns the pipeline; `execute` returns their replies."""

    def hget(self, name: str, key: str) -> object: ...

    def pttl(self, name: str) -> object: ...

    def hmget(self, name: str, keys: Sequence[str]) -> object: ...

    def time(self) -> object:
        """The clock of the server that gets the previous command."""
        ...

    def execute(self, raise_on_error: bool = True) -> Awaitable[list[object]]:
        """The replies in order. Without `raise_on_error`, the reply of a failed command is its exception."""
        ...


class Commands(Protocol):
    """A client of one server, or of all servers of one store."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]: ...

    def eval(self, script: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]: ...

    def ping(self) -> Awaitable[object]: ...

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[Pipeline]: ...

    async def aclose(self) -> None: ...


class ServerPipeline(Pipeline, Protocol):
    """A pipeline to one server."""

    def execute_command(self, *words: str | int | bytes) -> object: ...


class Scannable(Protocol):
    """The keys of one server."""

    def scan_iter(self, match: str, count: int) -> AsyncIterator[bytes]: ...


class ServerCommands(Commands, Scannable, Protocol):
    """A client of one server."""

    def execute_command(self, *words: str | int | bytes) -> Awaitable[object]: ...

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[ServerPipeline]: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """A connection for a subscription, not yet connected. The caller connects and disconnects it.

    Args:
        server: the server's name.
        stale: whether it has become the wrong server to subscribe to.
    """

    connection: AbstractConnection
    server: str
    stale: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Shard:
    """A server that stores keys.

    Args:
        name: of the server, for messages.
        client: sends commands to this server only.
        has: whether the server has this slot (of a Cluster).
    """

    name: str
    client: ServerCommands
    has: Callable[[int], bool] = lambda _: True


class Servers(Protocol):
    """One store."""

    @property
    def name(self) -> str:
        """The store's name in error messages. Never contains a password."""
        ...

    @property
    def subscriptions(self) -> int:
        """How many servers to subscribe to at a time."""
        ...

    @property
    def sharded(self) -> bool:
        """Whether several servers share the keys, so that one may fail while the others answer."""
        ...

    @property
    def client(self) -> Commands: ...

    async def shards(self) -> Sequence[Shard]:
        """Each server that stores keys. Raises RedisError."""
        ...

    async def subscription(self, avoid: Callable[[], Collection[str]]) -> Subscription:
        """To a server that `avoid` does not name, if there is another. Raises RedisError.

        `avoid` is called at the moment of the choice: another subscription may choose while this one looks for servers.
        """
        ...

    async def invalidate(self, error: Exception) -> None:
        """After this error: check whether the servers have changed. Never waits for the check."""
        ...

    def suspects(self) -> Sequence[str]:
        """Those of several servers that failed last, as far as known."""
        ...

    async def diagnose(self) -> Exception | None:
        """Why connections fail, as seen on new ones outside of the pools. None if they work."""
        ...

    async def renew(self, only: Collection[ConnectionPool] | None = None) -> None:
        """Use no connection that is open now for a new command, or none of these pools."""
        ...

    async def retire(self) -> None:
        """Close what is idle, and stop looking for servers. Operations in progress go on."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
