"""The edge of core: whatever a store or an issuer raises becomes an error that the engine knows."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from mintonce_server.core import events
from mintonce_server.core.budget import Month, Usage
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import IssuerError, IssuerUnavailable, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import (
    Acquired,
    AcquireRequest,
    Admitted,
    Backoff,
    Batch,
    Failure,
    Lease,
    Listing,
    Refusal,
    Rejection,
    ReplicaInfo,
    TokenStore,
    UsageStore,
    Wait,
    Wake,
)
from mintonce_server.core.token import Minted, Token

T = TypeVar("T")

RETRY_AFTER = 1.0
_REMEDY = "This is a fault of Mintonce or of a library. Report it with the traceback in the server's log."


class StoreEdge:
    """Implements ports.TokenStore by another store, whose unforeseen exceptions count as an outage.

    An adapter translates the exceptions that it knows. This is for the others: one of them must not end a background
    task, leave a lease behind, or reach a caller as INTERNAL.
    """

    def __init__(self, store: TokenStore, sink: events.EventSink) -> None:
        self._store = store
        self._sink = sink
        self.key_hash = store.key_hash

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        return await self._run("acquire", self._store.acquire(key, request))

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        return await self._run("commit", self._store.commit(lease, minted))

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        await self._run("fail", self._store.fail(lease, failure, retry_after))

    async def renew(self, lease: Lease) -> Lease | None:
        return await self._run("renew", self._store.renew(lease))

    async def reject(self, key: TokenKey, generation: int, min_interval: float, fingerprint: str = "") -> Rejection:
        return await self._run("reject", self._store.reject(key, generation, min_interval, fingerprint))

    async def raise_barrier(self, key: TokenKey, generation: int, fingerprint: str, min_interval: float) -> bool:
        raising = self._store.raise_barrier(key, generation, fingerprint, min_interval)
        return await self._run("raise_barrier", raising)

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        return await self._run("enter", self._store.enter(issuer, nonce))

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        return await self._run("learn", self._store.learn(issuer, admitted, failure, pause))

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        return await self._run("generations", self._store.generations(keys))

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        return await self._run("load", self._store.load(keys))

    async def restore(self, token: Token) -> Token | Refusal:
        return await self._run("restore", self._store.restore(token))

    async def list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        return await self._run("list", self._store.list(client, limit, wanted))

    def wakes(self) -> AsyncIterator[Wake]:
        return self._store.wakes()  # its reader is supervised

    async def ping(self) -> None:
        await self._run("ping", self._store.ping())

    async def close(self) -> None:
        await self._store.close()

    async def _run(self, operation: str, act: Awaitable[T]) -> T:
        return await _at_store(operation, act, self._sink)


class UsageEdge:
    """Implements ports.UsageStore by another one, as StoreEdge does for ports.TokenStore."""

    def __init__(self, store: UsageStore, sink: events.EventSink) -> None:
        self._store = store
        self._sink = sink

    async def count(self, client: str, batch: Batch) -> tuple[bool, float]:
        return await self._run("count", self._store.count(client, batch))

    async def forget(self, client: str, month: Month, replica: str) -> None:
        await self._run("forget", self._store.forget(client, month, replica))

    async def usage(self, months: Sequence[tuple[str, Month]]) -> list[Usage | StoreUnavailable]:
        return await self._run("usage", self._store.usage(months))

    async def beat(self, replica: ReplicaInfo) -> None:
        await self._run("beat", self._store.beat(replica))

    async def replicas(self) -> list[ReplicaInfo]:
        return await self._run("replicas", self._store.replicas())

    async def _run(self, operation: str, act: Awaitable[T]) -> T:
        return await _at_store(operation, act, self._sink)


async def _at_store(operation: str, act: Awaitable[T], sink: events.EventSink) -> T:
    try:
        return await act
    except StoreUnavailable:
        raise
    except Exception as error:
        sink(events.Unforeseen("", f"store.{operation}", error))
        raise StoreUnavailable(
            f"the store's {operation} failed in an unforeseen way ({type(error).__name__})",
            remedy=_REMEDY,
            retry_after=RETRY_AFTER,
        ) from error


async def mint(client: OAuthClient, key: TokenKey, key_hash: str, sink: events.EventSink) -> Minted:
    """One POST. Raises IssuerError, and nothing else."""
    try:
        return await client.issuer.mint(key)
    except IssuerError:
        raise
    except Exception as error:
        sink(events.Unforeseen(key_hash, "issuer.mint", error))
        raise IssuerUnavailable(
            f"the request to the issuer failed in an unforeseen way ({type(error).__name__})", remedy=_REMEDY
        ) from error


def proof(client: OAuthClient, sink: events.EventSink) -> str:
    """Of the client's credential, and of its version here. "" when it cannot be told: then no refusal counts."""
    try:
        return f"{client.credential_version} {client.issuer.proof()}"
    except Exception as error:  # noqa: BLE001 - reported
        sink(events.Unforeseen("", "issuer.proof", error))
        return ""
