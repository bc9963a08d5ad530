"""What is used of redis-py's client, with the types that it leaves open."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Pipeline(Protocol):
    """Commands sent together. Each gives the pipeline back; their replies come from `execute`."""

    def hget(self, name: str, key: str) -> object: ...

    def pttl(self, name: str) -> object: ...

    def hmget(self, name: str, keys: Sequence[str]) -> object: ...

    def time(self) -> object:
        """The clock of the server that the command before this one goes to."""
        ...

    def execute(self, raise_on_error: bool = True) -> Awaitable[list[object]]:
        """The replies in order. Without `raise_on_error`, a command that failed has its exception there."""
        ...


class Commands(Protocol):
    """A client of one server, or of all that together are one store."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]: ...

    def eval(self, script: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]: ...

    def ping(self) -> Awaitable[object]: ...

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[Pipeline]: ...

    async def aclose(self) -> None: ...


class ServerPipeline(Pipeline, Protocol):
    """One server's own."""

    def execute_command(self, *words: str | int | bytes) -> object: ...


class Scannable(Protocol):
    """One server's keys."""

    def scan_iter(self, match: str, count: int) -> AsyncIterator[bytes]: ...


class ServerCommands(Commands, Scannable, Protocol):
    """A client of one server."""

    def execute_command(self, *words: str | int | bytes) -> Awaitable[object]: ...

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[ServerPipeline]: ...
