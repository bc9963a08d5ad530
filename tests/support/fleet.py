"""Replicas in the test's own process that share one store server, each with connections and memory of its own."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from mintonce import AsyncTokenClient, Token
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.broker import BrokerOptions
from mintonce_server.core.ports import Wake
from support.faulty_issuer import FaultyIssuer
from support.house import AUDIENCE, CLIENT, HASHER, House, house
from support.options import redis_store
from support.surroundings import CLIENT_SECRET


@dataclass(frozen=True)
class Replica:
    """One server, and a client that knows its address."""

    house: House
    client: AsyncTokenClient

    async def get(self, audience: str = AUDIENCE, min_ttl: float | None = None, timeout: float = 10.0) -> Token:
        """What a microservice does."""
        return await self.client.get(CLIENT, audience, min_ttl=min_ttl, timeout=timeout)

    async def reject(self, token: Token) -> bool:
        """What a microservice does when a resource server answers 401."""
        return await self.client.reject(CLIENT, AUDIENCE, generation=token.generation)

    def deafen(self) -> None:
        """From now on no message of the fleet reaches it, and it does not know that."""

        def ignored(wake: Wake) -> None:
            """Lost."""

        self.house.broker._reconciler.notice = ignored  # type: ignore[method-assign] # what is to be lost is lost here

    def holds(self, token: Token) -> bool:
        """Whether its memory would serve this token now, without asking anybody."""
        return any(
            entry.token is not None and entry.token.generation == token.generation for entry in self.house.broker._cache
        )


class Fleet:
    """All that runs at one time on one store. Use it in an `async with`; leaving it stops every replica."""

    def __init__(self, issuer: FaultyIssuer, redis_url: str) -> None:
        self.issuer = issuer
        # A machine that stood still for a moment is no outage: a replica that took it for one would mint alone.
        self.store_deadline = 5.0
        self._redis_url = redis_url
        self._running = AsyncExitStack()

    async def replica(
        self,
        options: BrokerOptions | None = None,
        *,
        secret: str = CLIENT_SECRET,
        credential_version: int = 1,
        lease_seconds: float = 3.0,
    ) -> Replica:
        """Start one more."""
        clock = SystemClock()
        store = redis_store(
            self._redis_url, hasher=HASHER, clock=clock, lease_seconds=lease_seconds, deadline=self.store_deadline
        )
        self._running.push_async_callback(store.close)
        started = await self._running.enter_async_context(
            house(
                self.issuer.token_url,
                store=store,
                clock=clock,
                options=options,
                secret=secret,
                credential_version=credential_version,
            )
        )
        client = await self._running.enter_async_context(AsyncTokenClient(started.target))
        return Replica(started, client)

    async def replicas(self, count: int) -> list[Replica]:
        """Start so many more."""
        return [await self.replica() for _ in range(count)]

    async def stop(self) -> None:
        """Every replica ends, as in a deployment. The store stays."""
        await self._running.aclose()
