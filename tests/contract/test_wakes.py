"""Every replica gets the fleet's messages."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

from contract.conftest import Server

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Failure, TokenStore, Wake, WakeKind
from support.samples import KEY, lease_of, minted, shared

GAP = Wake(WakeKind.GAP, "", 0)


class _Closable(AsyncIterator[Wake]):
    """What the stores return: an asynchronous generator."""

    async def aclose(self) -> None: ...


def _wakes(store: TokenStore) -> aclosing[_Closable]:
    return aclosing(cast(_Closable, store.wakes()))


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
        # On a Cluster, messages of the test before may come late.
        newer = (wake async for wake in wakes if wake.generation >= token.generation)
        heard = [await anext(newer) for _ in range(3)]
    happened = [
        Wake(WakeKind.COMMIT, name, token.generation),
        Wake(WakeKind.FAIL, name, refresh.generation),
        Wake(WakeKind.REJECT, name, token.generation),
    ]
    if len(server.primaries) > 1:
        assert set(heard) == set(happened)
    else:
        assert heard == happened


async def test_what_changes_nothing_is_not_told(store: TokenStore, clock: Clock) -> None:
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
        heard = [await anext(wakes) for _ in range(3)]
    assert [wake.kind for wake in heard] == [WakeKind.COMMIT, WakeKind.REJECT, WakeKind.COMMIT]
    assert heard[-1].generation == last.generation
