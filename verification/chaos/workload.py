"""Callers: what they do, and what they write down."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from chaos.guards import FLEET
from chaos.rig import CLIENT
from history.checker import Call, Post
from history.records import Op

from mintonce import AsyncTokenClient, MintonceError, Token
from support.surroundings import claims

PAUSE: Final = (0.03, 0.12)
"""Seconds between two calls of a caller, at least and at most."""
DEADLINES: Final = (1.0, 2.0, 5.0)
WATCH_AGAIN: Final = 0.2
OWN_REASONS: Final = ("UNREACHABLE", "DEADLINE_EXCEEDED", "CLOSED")
"""Of the client, where no server said anything."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many callers, how many watches a replica, and the share of calls that reject what they were given."""

    callers: int = 10
    watches: int = 1
    rejects: float = 0.0


class Called(Protocol):
    """A replica, as its callers see it."""

    @property
    def name(self) -> str: ...

    @property
    def client(self) -> AsyncTokenClient: ...


class Callers:
    """Calls replicas as microservices do, and remembers each call."""

    def __init__(self, members: Sequence[Called]) -> None:
        self._members = members
        self.calls: list[Call] = []

    async def get(
        self,
        member: Called,
        audience: str,
        deadline: float = 5.0,
        min_ttl: float = 0.0,
        caller: str = FLEET,
        client: AsyncTokenClient | None = None,
    ) -> Call:
        """One GetToken. Never raises: what came out is in the record. `client`: of another caller than usual."""
        client, began = client or member.client, time.time()
        try:
            token = await client.get(CLIENT, audience, min_ttl=min_ttl or None, timeout=deadline)
        except MintonceError as error:
            return self._failed("get", member, audience, began, deadline, error)
        return self._keep(_brought("get", member, audience, began, deadline, token, caller))

    async def reject(self, member: Called, audience: str, generation: int, deadline: float = 2.0) -> Call:
        """One RejectToken."""
        client, began = member.client, time.time()
        try:
            was_current = await client.reject(CLIENT, audience, generation=generation, timeout=deadline)
        except MintonceError as error:
            return self._failed("reject", member, audience, began, deadline, error, generation)
        call = Call("reject", member.name, audience, began, time.time(), deadline, "OK", generation=generation)
        return self._keep(replace(call, was_current=was_current))

    async def rotate(self, member: Called, audience: str, deadline: float = 5.0) -> Call:
        """One RotateToken."""
        client, began = member.client, time.time()
        try:
            rotation = await client.rotate(CLIENT, audience, timeout=deadline)
        except MintonceError as error:
            return self._failed("rotate", member, audience, began, deadline, error)
        generation = rotation.generation
        call = Call("rotate", member.name, audience, began, time.time(), deadline, "OK", generation=generation)
        return self._keep(call)

    async def watch(self, member: Called, audience: str) -> None:
        """Follow a key until the server ends the watch. One record for each token."""
        client, began = member.client, time.time()
        try:
            async with client.watch(CLIENT, audience) as watch:
                async for token in watch:
                    self._keep(_brought("watch", member, audience, began, 0.0, token, FLEET))
                    began = time.time()
        except MintonceError as error:
            self._failed("watch", member, audience, began, 0.0, error)

    def _failed(
        self,
        op: Op,
        member: Called,
        audience: str,
        began: float,
        deadline: float,
        error: MintonceError,
        generation: int = 0,
    ) -> Call:
        reason = "" if error.reason in OWN_REASONS else error.reason
        call = Call(op, member.name, audience, began, time.time(), deadline, error.code.name, reason)
        return self._keep(replace(call, retry_after=error.retry_after, generation=generation))

    def _keep(self, call: Call) -> Call:
        self.calls.append(call)
        return call

    @asynccontextmanager
    async def busy(self, audiences: Sequence[str], load: Load, chance: random.Random) -> AsyncGenerator[None]:
        """Callers call and watches watch, until the end of the block."""
        tasks = [
            asyncio.create_task(self._calling(audiences, load.rejects, random.Random(chance.random())), name="caller")
            for _ in range(load.callers)
        ]
        for member in self._members:
            followed = chance.sample(list(audiences), min(load.watches, len(audiences)))
            tasks += [asyncio.create_task(self._watching(member, audience), name="watch") for audience in followed]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _calling(self, audiences: Sequence[str], rejects: float, chance: random.Random) -> None:
        while True:
            member, audience = chance.choice(self._members), chance.choice(audiences)
            call = await self.get(member, audience, chance.choice(DEADLINES), 3.0 if chance.random() < 0.1 else 0.0)
            if call.ok and chance.random() < rejects:
                await self.reject(chance.choice(self._members), audience, call.generation)
            await asyncio.sleep(chance.uniform(*PAUSE))

    async def _watching(self, member: Called, audience: str) -> None:
        while True:
            await self.watch(member, audience)
            await asyncio.sleep(WATCH_AGAIN)


def _brought(
    op: Literal["get", "watch"],
    member: Called,
    audience: str,
    began: float,
    deadline: float,
    token: Token,
    caller: str,
) -> Call:
    said = claims(token.access_token)
    return Call(
        op, member.name, audience, began, time.time(), deadline, "OK",
        generation=token.generation, jti=said["jti"], aud=said["aud"], expires_at=said["exp"] - said["iat"],
        degraded=token.degraded, origin=token.origin.name,
        caller=caller, granted=tuple(said.get("scope", "").split()),
    )  # fmt: skip


def dated(calls: Sequence[Call], posts: Sequence[Post]) -> list[Call]:
    """With the true expiry: the lifetime that the token states, from the moment of its POST by the issuer's own log.

    A token that is in no log counts from when it was given: another rule says that it should not have been.
    """
    minted_at: dict[str, float] = {}
    for post in posts:
        minted_at.setdefault(post.jti, post.time)
    return [
        replace(call, expires_at=minted_at.get(call.jti, call.ended) + call.expires_at) if call.jti else call
        for call in calls
    ]
