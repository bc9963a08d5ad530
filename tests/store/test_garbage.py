"""A server may answer with anything: it counts as an outage, and afterwards everything works as before."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import cast

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason, StoreUnavailable
from mintonce_server.core.ports import Admitted, Failure, Lease, Refusal, Wake, WakeKind
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.notifications import GAP
from support.eventually import eventually
from support.fault_proxy import FaultProxy, fault_proxy
from support.garbage import REPLIES
from support.options import redis_store
from support.samples import HASHER, KEY, OTHER, acquire_request, lease_of, minted, shared
from support.topologies import Topology, single

SPOKEN_TO_SUBSCRIBERS = ("no number", "no length", "a negative count", "nested 3,000 deep", "an HTTP answer",
                         "an error of 100 kB", "an empty list", "two answers")  # fmt: skip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def topology(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Topology]:
    """One server for all tests here."""
    async with single(tmp_path_factory.mktemp("garbage") / "server") as topology:
        yield topology


@pytest_asyncio.fixture
async def garbled(topology: Topology, clock: Clock) -> AsyncIterator[tuple[RedisStore, FaultProxy]]:
    """A store, and the proxy in front of its server."""
    await topology.empty()
    async with fault_proxy(topology.servers[0].port) as proxy:
        url = f"{topology.url.rpartition(':')[0]}:{proxy.port}/0"
        store = redis_store(url, hasher=HASHER, clock=clock, lease_seconds=60.0, deadline=0.5)
        try:
            yield store, proxy
        finally:
            await store.close()


def _acts(store: RedisStore, clock: Clock, lease: Lease, token: Token) -> dict[str, Callable[[], Awaitable[object]]]:
    """Each method that sends a request."""
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "acquire": lambda: store.acquire(KEY, acquire_request()),
        "commit": lambda: store.commit(lease, minted(clock)),
        "fail": lambda: store.fail(lease, Failure(Reason.ISSUER_UNAVAILABLE), 0.0),
        "renew": lambda: store.renew(lease),
        "reject": lambda: store.reject(KEY, token.generation, 0.0),
        "raise_barrier": lambda: store.raise_barrier(KEY, token.generation, "", 0.0),
        "enter": lambda: store.enter("https://login.example.com/oauth/token", "nonce"),
        "learn": lambda: store.learn("https://login.example.com/oauth/token", Admitted("nonce", 0, 0), None, 0.0),
        "generations": lambda: store.generations([KEY, OTHER]),
        "load": lambda: store.load([KEY, OTHER]),
        "restore": lambda: store.restore(token),
        "list": lambda: store.list("", 10, lambda _: True),
        "ping": store.ping,
    }
    methods = {name for name, _ in inspect.getmembers(RedisStore, inspect.iscoroutinefunction) if name[0] != "_"}
    assert methods - acts.keys() == {"close", "diagnose", "exchange", "reseal"}
    return acts


@pytest.mark.parametrize("garbage", REPLIES.values(), ids=REPLIES)
async def test_garbage_is_an_outage(garbage: bytes, garbled: tuple[RedisStore, FaultProxy], clock: Clock) -> None:
    """For each operation: a typed error, short and printable, or an answer that is not wrong."""
    store, proxy = garbled
    token, lease = await shared(store, clock), await lease_of(store, OTHER)
    proxy.garbage = garbage
    acts = _acts(store, clock, lease, token)
    async with asyncio.timeout(40.0):
        outcomes = await asyncio.gather(*(act() for act in acts.values()), return_exceptions=True)
    for name, outcome in zip(acts, outcomes, strict=True):
        answers = cast("list[object]", outcome) if isinstance(outcome, list) else [outcome]
        for error in answers:
            if isinstance(error, BaseException):
                _check(error, name)
    proxy.garbage = None
    (loaded,) = await store.load([KEY])
    assert isinstance(loaded, Token)
    assert loaded.access_token == token.access_token
    answer = await store.commit(lease, minted(clock))
    assert not isinstance(answer, Refusal)
    assert await store.generations([KEY, OTHER]) == [token.generation, lease.generation]


def _check(error: BaseException, what: str) -> None:
    assert isinstance(error, StoreUnavailable), what
    assert error.__cause__ is not None, what
    assert str(error).isprintable()
    assert len(str(error)) < 300


@pytest.mark.parametrize("garbage", SPOKEN_TO_SUBSCRIBERS)
async def test_garbage_ends_no_subscription(garbage: str, garbled: tuple[RedisStore, FaultProxy], clock: Clock) -> None:
    """The next one begins, and receives messages."""
    store, proxy = garbled
    async with aclosing(store.wakes()) as wakes:
        assert await anext(wakes) == GAP
        following = asyncio.create_task(anext(wakes))
        proxy.garbage = REPLIES[garbage]
        await asyncio.gather(*(store.ping() for _ in range(3)), return_exceptions=True)
        proxy.cut()
        await asyncio.wait([following], timeout=0.3)
        proxy.garbage = None
        proxy.cut()
        async with asyncio.timeout(20.0):
            heard = await following
            lease = await eventually(lambda: _lease(store), bool, within=10.0)
            assert lease is not None
            token = await store.commit(lease, minted(clock))
            assert isinstance(token, Token)
            while heard != Wake(WakeKind.COMMIT, store.key_hash(KEY), token.generation):
                heard = await anext(wakes)


async def _lease(store: RedisStore) -> Lease | None:
    try:
        return await lease_of(store)
    except StoreUnavailable:
        return None
