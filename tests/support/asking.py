"""Callers that ask on and on, and what each was told."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mintonce import AsyncTokenClient, MintonceError, Token
from support.replicas import PROGRAM, Replica, replica

PAUSE = 0.005


@dataclass(frozen=True)
class Answer:
    """One call. Times are seconds since 1970."""

    began: float
    ended: float
    outcome: Token | MintonceError

    @property
    def token(self) -> Token | None:
        return self.outcome if isinstance(self.outcome, Token) else None

    @property
    def error(self) -> MintonceError | None:
        return self.outcome if isinstance(self.outcome, MintonceError) else None


@dataclass(frozen=True)
class Served:
    """A server process, and a client that knows its address."""

    server: Replica
    client: AsyncTokenClient

    async def get(self, audience: str, timeout: float = 10.0) -> Token:
        """What a microservice does."""
        return await self.client.get("default", audience, timeout=timeout)

    async def ask(self, audience: str, timeout: float = 10.0) -> Answer:
        """As `get`, but an error is an answer too."""
        began = time.time()
        try:
            outcome: Token | MintonceError = await self.get(audience, timeout)
        except MintonceError as error:
            outcome = error
        return Answer(began, time.time(), outcome)


async def start(
    stack: AsyncExitStack,
    directory: Path,
    settings: Mapping[str, str],
    count: int,
    program: Sequence[str] = PROGRAM,
) -> list[Served]:
    """So many servers at once, until the stack is left."""

    async def one() -> Served:
        server = await stack.enter_async_context(replica(directory, settings, program))
        return Served(server, await stack.enter_async_context(AsyncTokenClient(server.target)))

    # The file of its log is what names a replica, and it is made before the first await.
    return list(await asyncio.gather(*(one() for _ in range(count))))


@asynccontextmanager
async def asking(fleet: Sequence[Served], audience: str, timeout: float) -> AsyncGenerator[list[Answer]]:
    """One caller for each server asks it on and on; the answers, in the order in which they came."""
    answers: list[Answer] = []

    async def on_and_on(served: Served) -> None:
        while True:
            answers.append(await served.ask(audience, timeout))
            await asyncio.sleep(PAUSE)

    callers = [asyncio.create_task(on_and_on(served)) for served in fleet]
    try:
        yield answers
    finally:
        for caller in callers:
            caller.cancel()
        ended = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


@asynccontextmanager
async def watching(served: Served, audience: str) -> AsyncGenerator[list[Token]]:
    """A watch at this server; the tokens that it was sent so far, oldest first. It must not end before the block."""
    sent: list[Token] = []

    async def follow() -> None:
        async with served.client.watch("default", audience) as watch:
            async for token in watch:
                sent.append(token)  # noqa: PERF401 - each as it comes

    watcher = asyncio.create_task(follow())
    try:
        yield sent
    finally:
        watcher.cancel()
        (ended,) = await asyncio.gather(watcher, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
