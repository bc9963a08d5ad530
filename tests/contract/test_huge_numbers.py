"""Numbers that Lua cannot hold exactly: every store reads them as zero, so the memory store hides no fault."""

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.core.ports import TokenStore, Wait
from mintonce_server.core.token import Token
from support.samples import KEY, acquire_request, as_lease, lease_of, minted

HUGE = [2**53 - 1, 2**53, 2**60 + 1, 2**62]


@pytest.mark.parametrize("newer_than", HUGE)
async def test_a_lease_of_a_huge_generation_is_not_found_again(store: TokenStore, newer_than: int) -> None:
    """Its number is rounded when it is written, and counts as missing when it is read."""
    lease = await lease_of(store, nonce="mine", newer_than=newer_than)
    assert lease.generation == int(float(newer_than + 1))
    assert as_lease(await store.acquire(KEY, acquire_request("mine"))).generation == 0


@pytest.mark.parametrize("newer_than", HUGE)
async def test_a_token_of_a_huge_generation_is_no_record_to_a_script(
    store: TokenStore, clock: Clock, newer_than: int
) -> None:
    """A commit writes it and does not end its lease; the next script sees no token."""
    lease = await lease_of(store, newer_than=newer_than)
    assert isinstance(await store.commit(lease, minted(clock)), Token)
    assert isinstance(await store.acquire(KEY, acquire_request()), Wait)
    assert not (await store.reject(KEY, lease.generation, 0.0)).was_current


@pytest.mark.parametrize(("newer_than", "digits"), [(2**53, 16), (2**60 + 1, 19)])
async def test_a_reader_takes_numbers_of_sixteen_digits(
    store: TokenStore, clock: Clock, newer_than: int, digits: int
) -> None:
    """Plain commands do not use Lua's numbers; a longer number counts as no record."""
    lease = await lease_of(store, newer_than=newer_than)
    await store.commit(lease, minted(clock))
    assert await store.generations([KEY]) == [lease.generation if digits == 16 else 0]
