"""What a link asks of the servers behind it, whatever their kind."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from redis.asyncio.connection import AbstractConnection

from mintonce_server.store.commands import Commands, Scannable, ServerCommands
from mintonce_server.store.topology.pool import Pool


@dataclass(frozen=True, slots=True)
class Ear:
    """A connection to subscribe with, not yet connected; who opens it disconnects it.

    Args:
        where: the server's name.
        stale: whether it has become the wrong server to listen to.
    """

    connection: AbstractConnection
    where: str
    stale: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """A server that keeps keys.

    Args:
        name: of the server, for people.
        client: sends commands to it alone.
        has: whether keys of this slot (of a Cluster) are its.
    """

    name: str
    client: ServerCommands
    has: Callable[[int], bool] = lambda _: True


class Servers(Protocol):
    """One store."""

    @property
    def name(self) -> str:
        """What errors call it. Never holds a password."""
        ...

    @property
    def ears(self) -> int:
        """To how many servers at a time one should listen."""
        ...

    @property
    def sharded(self) -> bool:
        """Whether several servers share the keys, so that one may fail while the others answer."""
        ...

    @property
    def client(self) -> Commands: ...

    async def shards(self) -> Sequence[Scannable]:
        """A client for each server that has keys, to scan. Raises RedisError."""
        ...

    async def parts(self) -> Sequence[Part]:
        """Each server that has keys, by itself. Raises RedisError."""
        ...

    async def ear(self, avoid: Callable[[], Collection[str]]) -> Ear:
        """To a server that is none of these, if there is another. Raises RedisError.

        Whom to avoid is asked at the instant of the choice: another ear may choose while this one looks for servers.
        """
        ...

    async def doubt(self, error: Exception) -> None:
        """Something went wrong: see whether the servers have changed. Never waits for them."""
        ...

    def suspects(self) -> Sequence[str]:
        """Those of several servers that failed last, as far as that is known."""
        ...

    async def look_closer(self) -> Exception | None:
        """Why connections fail, seen on new ones beside the pools; None when nothing is wrong with them."""
        ...

    async def renew(self, only: Collection[Pool] | None = None) -> None:
        """Use no connection that is open now for a new command, or none of these pools."""
        ...

    async def retire(self) -> None:
        """Close what is idle, and look for servers no more. What is under way goes on."""
        ...

    async def close(self) -> None:
        """Give all connections back."""
        ...
