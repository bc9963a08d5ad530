"""The caller who does nothing wrong: asks for its token at a steady pace, as our client does, and measures."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from attack.arena import VICTIM_AUDIENCE, Arena
from attack.door_floods import answer, connect, post
from attack.wire import bearer
from grpc import aio

from mintonce._channel import OPTIONS
from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2

PACE: Final = 0.01
"""Seconds from one of its calls to the next."""


@dataclass
class Bystander:
    """`took`: seconds of each call that was answered."""

    took: list[float] = field(default_factory=list[float])
    failed: list[str] = field(default_factory=list[str])

    async def call(self, arena: Arena, until: asyncio.Event) -> None:
        """Until told to stop, on one connection."""
        async with arena.channel(OPTIONS) as channel:
            stub = tokens_pb2_grpc.TokenServiceStub(channel)
            request = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="default", audience=VICTIM_AUDIENCE))
            while not until.is_set():
                began = time.monotonic()
                try:
                    await stub.GetToken(request, timeout=5.0, metadata=(bearer(arena.victim),))
                    self.took.append(time.monotonic() - began)
                except aio.AioRpcError as error:
                    self.failed.append(f"{error.code().name}: {error.details()}")
                await asyncio.sleep(PACE)

    async def beside(self, arena: Arena, seconds: float) -> None:
        """For so long."""
        until = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.call(arena, until))
            await asyncio.sleep(seconds)
            until.set()

    def percentile(self, of: float) -> float:
        """Seconds; `of` between 0 and 1."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(of * len(ordered)))] if ordered else float("nan")


class DoorBystander(Bystander):
    """The same at the token endpoint, from an address of its own."""

    async def call(self, arena: Arena, until: asyncio.Event) -> None:
        message, connection = post(arena.victim, VICTIM_AUDIENCE), None
        while not until.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(5.0):
                    connection = connection or await connect(arena.door_url, "127.0.0.2")
                    connection[1].write(message)
                    status, _ = await answer(connection[0])
                if status != 200:
                    self.failed.append(f"status {status}")
                self.took.append(time.monotonic() - began)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(type(error).__name__)
                connection = None
            await asyncio.sleep(PACE)
        if connection is not None:
            connection[1].close()
