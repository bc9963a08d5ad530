"""A replica inside the test's process: the real broker, endpoint and gRPC server on a store of the test's choice."""

import asyncio
import random
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mintonce_server.api.options import ServerOptions
from mintonce_server.api.server import Server
from mintonce_server.calls.authorize import Authorizer, Guards
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.core.broker import Broker, BrokerOptions
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.events import Event
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.policy import OPEN
from mintonce_server.core.ports import TokenStore
from mintonce_server.core.secret import Secret
from mintonce_server.core.usage import UsageCounter
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.options import ClientCredentials
from mintonce_server.observability.call_meter import CallMeter
from mintonce_server.store.memory import MemoryStore
from support.endpoints import endpoint_options
from support.options import BROKER_OPTIONS, LEASE_SECONDS, listen_options
from support.surroundings import CLIENT_ID, CLIENT_SECRET

if TYPE_CHECKING:
    from mintonce_server.observability.traces import Traces

HASHER = KeyHasher(b"index key of the tests")
CLIENT = "billing"
AUDIENCE = "https://api.example.com/"
KEY = TokenKey.of(CLIENT, AUDIENCE)

E = TypeVar("E", bound=Event)

OPEN_GUARDS = Guards(None, lambda: OPEN)
"""Callers need no identity."""


@dataclass
class House:
    """A replica, and what happened in it."""

    broker: Broker
    calls: TokenCalls
    server: Server
    store: TokenStore
    target: str
    happened: list[Event] = field(default_factory=list[Event])

    def events(self, kind: type[E]) -> list[E]:
        """What happened, of one kind."""
        return [event for event in self.happened if isinstance(event, kind)]


@asynccontextmanager
async def house(
    token_url: str,
    *,
    store: TokenStore | None = None,
    clock: Clock | None = None,
    options: BrokerOptions | None = None,
    audiences: frozenset[str] = frozenset({"*"}),
    timeout: float = 10.0,
    server_options: ServerOptions | None = None,
    secret: str = CLIENT_SECRET,
    credential_version: int = 1,
    guards: Guards = OPEN_GUARDS,
    traces: "Traces | None" = None,
    propagate_trace: bool = False,
) -> AsyncGenerator[House]:
    """Runs until the end of the block. `store`: shared between houses to make a fleet; default: one in memory."""
    clock = clock or SystemClock()
    store = store or MemoryStore(HASHER, clock, LEASE_SECONDS)
    happened: list[Event] = []
    requests = traces.requests("acme", propagate=propagate_trace) if traces else None
    endpoint = TokenEndpoint(endpoint_options(token_url, timeout=timeout), clock, tracer=requests)
    issuer = endpoint.for_client(ClientCredentials(CLIENT_ID, Secret(secret)))
    clients = Clients([OAuthClient(CLIENT, issuer, audiences, credential_version)])

    def sink(event: Event) -> None:
        happened.append(event)
        if traces is not None:
            traces(event)

    usage = None
    if isinstance(store, MemoryStore):
        usage = UsageCounter(store.usage, {CLIENT: "acme"}, {}, clock, sink, random.Random(1))
    meter = CallMeter()
    meter.tracer = traces
    broker = Broker(store, clients, clock, sink, options or BROKER_OPTIONS, tracer=traces)
    with tempfile.TemporaryDirectory(prefix="mo-") as directory:
        listen = f"unix:{Path(directory) / 's'}"
        calls, listening = calls_of(broker, guards, meter, clock, usage), server_options or listen_options(listen)
        server = Server(broker, calls, clock, listening, meter, usage)
        target = server.bind()
        await server.start()
        tasks = [asyncio.create_task(task) for task in broker.tasks()]
        tasks += [asyncio.create_task(start()) for start in server.endless().values()]
        try:
            yield House(broker, calls, server, store, target, happened)
        finally:
            broker.drain()
            await server.stop(grace=1.0)
            await broker.close(grace=1.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await endpoint.close()


def calls_of(
    broker: Broker,
    guards: Guards = OPEN_GUARDS,
    meter: CallMeter | None = None,
    clock: Clock | None = None,
    usage: UsageCounter | None = None,
) -> TokenCalls:
    """What a server's transports share."""
    return TokenCalls(broker, Authorizer(guards, clock or SystemClock(), broker.key_hash, meter), usage)
