"""The client of the servers that are in use now, which may be exchanged for others."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from mintonce_server.store.commands import Pipeline
from mintonce_server.store.topology import Servers


class CurrentClient:
    """Implements Commands. Its holder need not know of an exchange."""

    def __init__(self, servers: Callable[[], Servers]) -> None:
        self._servers = servers

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]:
        return self._servers().client.evalsha(sha, numkeys, *keys_and_args)

    def eval(self, script: str, numkeys: int, *keys_and_args: str | int | bytes) -> Awaitable[object]:
        return self._servers().client.eval(script, numkeys, *keys_and_args)

    def ping(self) -> Awaitable[object]:
        return self._servers().client.ping()

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[Pipeline]:
        return self._servers().client.pipeline(transaction)

    async def aclose(self) -> None:
        await self._servers().client.aclose()
