"""Keys, wishes and tokens that any test may use."""

import itertools
from collections.abc import Sequence
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Acquired, AcquireRequest, Lease, TokenStore
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted, Token

HASHER: Final = KeyHasher(b"an index key for tests")
KEY: Final = TokenKey.of("billing", "https://api.example.com/", ["orders:read", "orders:write"])
OTHER: Final = TokenKey.of("shipping", "https://api.example.com/")

_tries = itertools.count()


def any_token(_: Token) -> bool:
    """A list of everything."""
    return True


def acquire_request(
    nonce: str = "",
    *,
    cv: int = 1,
    newer_than: int = 0,
    min_ttl: float = 0.0,
    adopt: bool = False,
    proof: str = "",
) -> AcquireRequest:
    """With a new nonce, unless one is given."""
    return AcquireRequest(nonce or f"try-{next(_tries)}", cv, newer_than, min_ttl, adopt, proof)


def minted(clock: Clock, text: str = "a-token", *, lifetime: float = 100.0, age: float = 0.0) -> Minted:
    """What an issuer gave `age` seconds ago."""
    return Minted(Secret(text), "Bearer", lifetime, clock.monotonic() - age, ("orders:read",))


async def lease_of(
    store: TokenStore, key: TokenKey = KEY, nonce: str = "", *, cv: int = 1, newer_than: int = 0, proof: str = ""
) -> Lease:
    """The lease, which must be free."""
    return as_lease(await store.acquire(key, acquire_request(nonce, cv=cv, newer_than=newer_than, proof=proof)))


def as_lease(answer: Acquired) -> Lease:
    """It is one."""
    assert isinstance(answer, Lease), answer
    return answer


async def load_all(store: TokenStore, keys: Sequence[TokenKey]) -> list[Token | None]:
    """What the store has for these keys. Fails when a part of it did not answer."""
    found = await store.load(keys)
    assert not [token for token in found if isinstance(token, StoreUnavailable)]
    return [token for token in found if not isinstance(token, StoreUnavailable)]


async def shared(
    store: TokenStore, clock: Clock, key: TokenKey = KEY, *, cv: int = 1, lifetime: float = 100.0
) -> Token:
    """A token in the store."""
    token = await store.commit(await lease_of(store, key, cv=cv), minted(clock, lifetime=lifetime))
    assert isinstance(token, Token), token
    return token


async def adopted(store: TokenStore, clock: Clock, text: str = "minted-alone", *, ahead: int = 20_000_000) -> Token:
    """A token in the store that a replica minted without it, and served under a provisional number so far ahead."""
    mint, number = minted(clock, text), int(clock.unix() * 1_000_000) + ahead
    alone = Token.of(mint, KEY, store.key_hash(KEY), number, 1, clock.unix() - clock.monotonic(), provisional=True)
    lease = as_lease(await store.acquire(KEY, acquire_request(newer_than=number, adopt=True)))
    token = alone.adopted(lease.generation, lease.unix_minus_monotonic, reissued=False)
    answer = await store.restore(token)
    assert isinstance(answer, Token), answer
    return answer


def named(token: Token | None) -> tuple[int, str]:
    """Which token it is. Its times differ by less than a millisecond between those who hold it."""
    return (token.generation, token.access_token.fingerprint()) if token else (0, "")
