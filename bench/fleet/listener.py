"""Writes down when the store published: the moment of each commit.

`python -m bench.fleet.listener`: the Redis URL on stdin; a line `generation seconds` for each commit on stdout.
A process of its own that does nothing else, so that it is not late because of its own work.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Final, Protocol, cast

from redis import Redis

from bench.fleet.methods import RELEASE_CHANNEL
from bench.fleet.tied import tied
from mintonce_server.store.names import USUAL

READY_WITHIN: Final = 10.0

Commits = dict[int, float]
"""When each generation was committed, by the monotonic clock."""


class _PubSub(Protocol):
    """What is used of redis-py's subscriber, with the types that it leaves open."""

    def subscribe(self, *channels: str) -> None: ...
    def listen(self) -> Iterator[dict[str, object]]: ...


class _Client(Protocol):
    """And of its client."""

    def pubsub(self) -> _PubSub: ...


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[Commits]:
    """Filled while the block lasts; whoever looks something up may have to wait a moment for it."""
    process = await asyncio.create_subprocess_exec(
        *tied("bench.fleet.listener"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin, "asked for above"
    assert process.stdout, "asked for above"
    commits: Commits = {}
    reader: asyncio.Task[None] | None = None
    try:
        process.stdin.write(f"{url}\n".encode())
        async with asyncio.timeout(READY_WITHIN):
            await process.stdin.drain()
            if not await process.stdout.readline():
                raise RuntimeError("the listener did not start; its own words are above")
        reader = asyncio.create_task(_read(process.stdout, commits))
        yield commits
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if reader is not None:
            await reader


async def _read(lines: asyncio.StreamReader, commits: Commits) -> None:
    async for line in lines:
        generation, _, seconds = line.decode().partition(" ")
        commits[int(generation)] = float(seconds)


def commit_in(data: object) -> int | None:
    """The generation, if it is the message of a commit or of a floor server's release."""
    words = data.split() if isinstance(data, bytes) else []
    for kind in (b"commit", b"release"):
        if kind in words:
            return int(words[words.index(kind) + 2])
    return None


def main() -> None:
    """Until it is killed."""
    redis = Redis.from_url(sys.stdin.readline().strip())  # pyright: ignore[reportUnknownMemberType] - redis-py: **kwargs
    pubsub = cast(_Client, redis).pubsub()
    pubsub.subscribe(USUAL.wake_channel, RELEASE_CHANNEL)
    for message in pubsub.listen():
        now = time.monotonic()
        if message["type"] == "subscribe":
            if message["data"] == 2:
                print("ready", flush=True)
        elif (generation := commit_in(message["data"])) is not None:
            print(generation, repr(now), flush=True)


if __name__ == "__main__":
    main()
