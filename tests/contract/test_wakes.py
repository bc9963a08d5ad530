"""Every replica gets the fleet's messages."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TypeVar, cast

from contract.conftest import Server

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Failure, TokenStore, Wake, WakeKind
from support.samples import KEY, lease_of, minted, shared

T = TypeVar("T")

GAP = Wake(WakeKind.GAP, "", 0)


class _Closable(AsyncIterator[Wake]):
    """What the stores return: an asynchronous generator."""

    async def aclose(self) -> None: ...


def _wakes(store: TokenStore) -> aclosing[_Closable]:
    return aclosing(cast(_Closable, store.wakes()))


async def _of_this_test(wakes: AsyncIterator[Wake], first: int, count: int) -> list[Wake]:
    """On a Cluster, messages of the test before, with lower generations, may come late."""
    newer = (wake async for wake in wakes if wake.generation >= first)
    return [await anext(newer) for _ in range(count)]


def in_order(server: Server, heard: Sequence[T]) -> list[T]:
    """As they came; on a Cluster sorted, because two of its servers send the same."""
    return sorted(heard, key=repr) if len(server.primaries) > 1 else list(heard)


async def test_a_subscription_begins_with_a_gap(store: TokenStore) -> None:
    """Earlier changes are unknown."""
    async with _wakes(store) as wakes:
        assert await anext(wakes) == GAP


async def test_every_change_is_announced_with_its_generation(store: TokenStore, clock: Clock, server: Server) -> None:
    """In their order. On a Cluster in any order, because two of its servers send the same."""
    name = store.key_hash(KEY)
    async with _wakes(store) as wakes:
        await anext(wakes)
        token = await shared(store, clock)
        refresh = await lease_of(store, newer_than=token.generation)
        await store.fail(refresh, Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
        await store.reject(KEY, token.generation, 0.0)
        heard = await _of_this_test(wakes, token.generation, 3)
    happened = [
        Wake(WakeKind.COMMIT, name, token.generation),
        Wake(WakeKind.FAIL, name, refresh.generation),
        Wake(WakeKind.REJECT, name, token.generation),
    ]
    assert in_order(server, heard) == in_order(server, happened)


async def test_what_changes_nothing_is_not_told(store: TokenStore, clock: Clock, server: Server) -> None:
    """Repetitions and refusals send no message."""
    async with _wakes(store) as wakes:
        await anext(wakes)
        lease, mint = await lease_of(store), minted(clock)
        await store.commit(lease, mint)
        await store.commit(lease, mint)
        await store.fail(lease, Failure(Reason.ISSUER_UNAVAILABLE), 30.0)
        await store.reject(KEY, lease.generation, 0.0)
        await store.reject(KEY, lease.generation, 0.0)
        await store.reject(KEY, lease.generation - 1, 0.0)
        last = await shared(store, clock)
        heard = await _of_this_test(wakes, lease.generation, 3)
    happened = [(WakeKind.COMMIT, lease.generation), (WakeKind.REJECT, lease.generation)]
    happened.append((WakeKind.COMMIT, last.generation))
    assert in_order(server, [(wake.kind, wake.generation) for wake in heard]) == in_order(server, happened)
