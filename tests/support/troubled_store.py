"""A store that can fail at any one step, or take too long for it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import (
    Acquired,
    AcquireRequest,
    Admitted,
    Backoff,
    Failure,
    Lease,
    Refusal,
    Rejection,
    Wait,
    Wake,
)
from mintonce_server.core.token import Minted, Token
from mintonce_server.store.memory import MemoryStore
from mintonce_server.store.memory_server import MemoryServer
from mintonce_server.store.memory_values import MemoryEntry

ALL: Final = frozenset(
    {
        "acquire",
        "commit",
        "fail",
        "renew",
        "reject",
        "raise_barrier",
        "load",
        "generations",
        "restore",
        "enter",
        "learn",
    }
)


T = TypeVar("T")


class _Publisher(MemoryServer):
    """Remembers what it published. `silent`: its listeners hear nothing."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.silent = False
        self.published: list[Wake] = []

    def publish(self, wake: Wake) -> None:
        self.published.append(wake)
        if not self.silent:
            super().publish(wake)


class TroubledStore(MemoryStore):
    """A MemoryStore with trouble.

    Attributes:
        down: the methods that raise StoreUnavailable; what they would have done does not happen.
        dead_shard: the keys of a part that is away, as one shard of a Cluster.
        after: called when a method has done its work and its caller does not know yet. Once.
        calls: how often each method was called.
        silent: messages are lost, and no GAP says so.
        asked: the keys of each question for generations, oldest first.
        most_restoring: how many were given back at the same time at most.
        published: what the fleet was told or would have been, oldest first.
    """

    def __init__(self, hasher: KeyHasher, clock: Clock, lease_seconds: float = 3.0) -> None:
        self._publisher = _Publisher(clock)
        super().__init__(hasher, clock, lease_seconds, self._publisher)
        self.down: frozenset[str] = frozenset()
        self.dead_shard: frozenset[TokenKey] = frozenset()
        self.after: dict[str, Callable[[], object]] = {}
        self.calls: Counter[str] = Counter()
        self.asked: list[list[TokenKey]] = []
        self.most_restoring = self._restoring = 0

    @property
    def silent(self) -> bool:
        return self._publisher.silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        self._publisher.silent = silent

    @property
    def published(self) -> list[Wake]:
        return self._publisher.published

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        self._begin("acquire", key)
        answer = await super().acquire(key, request)
        self._end("acquire")
        return answer

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        self._begin("commit", lease.key)
        answer = await super().commit(lease, minted)
        self._end("commit")
        return answer

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        self._begin("fail")
        await super().fail(lease, failure, retry_after)
        self._end("fail")

    async def renew(self, lease: Lease) -> Lease | None:
        self._begin("renew")
        answer = await super().renew(lease)
        self._end("renew")
        return answer

    async def reject(self, key: TokenKey, generation: int, min_interval: float, fingerprint: str = "") -> Rejection:
        self._begin("reject", key)
        answer = await super().reject(key, generation, min_interval, fingerprint)
        self._end("reject")
        return answer

    async def raise_barrier(self, key: TokenKey, generation: int, fingerprint: str, min_interval: float) -> bool:
        self._begin("raise_barrier")
        answer = await super().raise_barrier(key, generation, fingerprint, min_interval)
        self._end("raise_barrier")
        return answer

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        self._begin("enter")
        answer = await super().enter(issuer, nonce)
        self._end("enter")
        return answer

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        self._begin("learn")
        answer = await super().learn(issuer, admitted, failure, pause)
        self._end("learn")
        return answer

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        self._begin("load")
        answer = self._partly(keys, await super().load(keys))
        self._end("load")
        return answer

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        self.asked.append(list(keys))
        self._begin("generations")
        answer = self._partly(keys, await super().generations(keys))
        self._end("generations")
        return answer

    async def restore(self, token: Token) -> Token | Refusal:
        self._begin("restore", token.key)
        self._restoring += 1
        self.most_restoring = max(self.most_restoring, self._restoring)
        await asyncio.sleep(0)  # over the wire: others do theirs meanwhile
        self._restoring -= 1
        answer = await super().restore(token)
        self._end("restore")
        return answer

    def lose(self, key: TokenKey) -> None:
        """All that is known of the key is gone, as after a restart without persistence. No message is sent."""
        self.server.entries.pop(self.key_hash(key), None)

    def copy(self, key: TokenKey) -> MemoryEntry:
        """What a replica of the server has of the key now."""
        return self.server.entries[self.key_hash(key)].copy()

    def fail_over(self, key: TokenKey, behind: MemoryEntry) -> None:
        """The replica that had this copy leads from now on: what was written since is lost. No message is sent."""
        self.server.entries[self.key_hash(key)] = behind

    def _partly(self, keys: Sequence[TokenKey], found: Sequence[T]) -> list[T | StoreUnavailable]:
        if keys and self.dead_shard.issuperset(keys):
            raise _away(partial=True)
        answers = zip(keys, found, strict=True)
        return [_away(partial=True) if key in self.dead_shard else answer for key, answer in answers]

    def _begin(self, method: str, key: TokenKey | None = None) -> None:
        self.calls[method] += 1
        if key in self.dead_shard:
            raise _away(partial=True)
        if method in self.down:
            raise _away()

    def _end(self, method: str) -> None:
        if (happens := self.after.pop(method, None)) is not None:
            happens()


def _away(*, partial: bool = False) -> StoreUnavailable:
    return StoreUnavailable("the store is out of reach", remedy="Wait.", retry_after=1.0, partial=partial)
