"""A store that can fail at any one step, or take too long for it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Acquired, Clock, Failure, Lease, Refusal, Rejection, Wish
from mintonce_server.core.token import Minted, Token
from mintonce_server.store.memory import MemoryStore

ALL: Final = frozenset({"acquire", "commit", "fail", "renew", "reject", "load"})


class TroubledStore(MemoryStore):
    """A MemoryStore with trouble.

    Attributes:
        down: the methods that raise StoreUnavailable; what they would have done does not happen.
        after: called when a method has done its work and its caller does not know yet. Once.
        calls: how often each method was called.
    """

    def __init__(self, hasher: KeyHasher, clock: Clock, lease_seconds: float = 3.0) -> None:
        super().__init__(hasher, clock, lease_seconds)
        self.down: frozenset[str] = frozenset()
        self.after: dict[str, Callable[[], object]] = {}
        self.calls: Counter[str] = Counter()

    async def acquire(self, key: TokenKey, wish: Wish) -> Acquired:
        self._begin("acquire")
        answer = await super().acquire(key, wish)
        self._end("acquire")
        return answer

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        self._begin("commit")
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

    async def reject(self, key: TokenKey, generation: int, min_interval: float) -> Rejection:
        self._begin("reject")
        answer = await super().reject(key, generation, min_interval)
        self._end("reject")
        return answer

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | None]:
        self._begin("load")
        answer = await super().load(keys)
        self._end("load")
        return answer

    def lose(self, key: TokenKey) -> None:
        """All that is known of the key is gone, as after a restart without persistence. Nobody is told."""
        self._entries.pop(self.key_hash(key), None)

    def _begin(self, method: str) -> None:
        self.calls[method] += 1
        if method in self.down:
            raise StoreUnavailable("the store is out of reach", remedy="Wait.", retry_after=1.0)

    def _end(self, method: str) -> None:
        if (happens := self.after.pop(method, None)) is not None:
            happens()
