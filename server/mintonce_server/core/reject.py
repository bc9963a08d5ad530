"""A resource server refused a token: the fleet stops serving it, if it is still the current one."""

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.budget import REJECT_INTERVAL, WasteRefused
from mintonce_server.core.cache import Cache, Entry
from mintonce_server.core.errors import InvalidRequest, RotationTooSoon, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Rejection, TokenStore
from mintonce_server.core.reconcile import Reconciler
from mintonce_server.core.token import Token


class Rejecter:
    """Compares, and invalidates. Never mints."""

    def __init__(
        self,
        store: TokenStore,
        cache: Cache,
        reconciler: Reconciler,
        clock: Clock,
        sink: events.EventSink,
        min_interval: float,
        waste_refused: WasteRefused,
    ) -> None:
        """`min_interval`: seconds between two rejections of one key that count; more once its budget is used up."""
        self._store = store
        self._cache = cache
        self._reconciler = reconciler
        self._clock = clock
        self._sink = sink
        self._min_interval = min_interval
        self._waste_refused = waste_refused

    async def reject(self, key: TokenKey, rejected: int | bytes, caller: str = "") -> bool:
        """Whether this generation, or the token with this SHA-256, was the current one.

        Raises InvalidRequest for a generation above the newest one, RotationTooSoon, StoreUnavailable, and what
        `Cache.entry` raises. `caller` is named in the log.
        """
        entry = self._cache.entry(key, caller)
        if entry.token is not None and entry.token.provisional:
            await self._reconciler.confirm([entry])  # it gets a number that all replicas know
        generation = rejected if isinstance(rejected, int) else await self._generation_of(entry, rejected)
        if generation is None:
            return False
        is_held = _is_known_as(entry.token, generation)
        if is_held and entry.live(self._clock.monotonic()) is None:
            return False  # it is over anyway
        if is_held and (wait := entry.rejected_at + self._interval(entry) - self._clock.monotonic()) > 0:
            raise self._too_soon(entry, wait)
        rejection = await self._reject(entry, generation)
        if is_held and not rejection.was_current:
            # The store lost it and gets it back first; or the fleet has another one by now.
            await self._reconciler.confirm([entry])
            rejection = await self._reject(entry, generation)
        if rejection.retry_after is not None:
            raise self._too_soon(entry, rejection.retry_after)
        if not rejection.known and generation > entry.newest:
            raise InvalidRequest(
                "there is no such generation of this key",
                remedy="Reject the generation that came with the refused token, or send the token's SHA-256.",
            )
        self._evict(entry, generation, rejection, caller)
        return rejection.was_current

    async def _reject(self, entry: Entry, generation: int) -> Rejection:
        held = entry.token
        known = held.access_token.fingerprint() if held and _is_known_as(held, generation) else ""
        return await self._store.reject(entry.key, generation, self._interval(entry), known)

    def _interval(self, entry: Entry) -> float:
        is_used_up = self._waste_refused(entry.client.name) is not None
        return max(self._min_interval, REJECT_INTERVAL) if is_used_up else self._min_interval

    def _evict(self, entry: Entry, generation: int, rejection: Rejection, caller: str) -> None:
        """Stop serving what was rejected, by what the store said and not by what the caller did."""
        self._sink(
            events.Rejected(
                entry.key_hash, rejection.generation or generation, rejection.was_current, caller, entry.key.client
            )
        )
        if rejection.was_current:
            if entry.token is not None and entry.token.generation <= rejection.generation:
                # Else it may be an old rejection, said again: it puts off no other.
                entry.rejected_at, entry.rejected_by = self._clock.monotonic(), caller
            self._cache.evict(entry, rejection.generation)
        elif entry.token is not None and _is_known_as(entry.token, generation):
            # The store does not take it, or not yet.
            self._cache.evict(entry, entry.token.generation)

    def _too_soon(self, entry: Entry, wait: float) -> RotationTooSoon:
        self._sink(events.RejectedTooSoon(entry.key_hash, entry.key.client))
        return RotationTooSoon(
            "this key was rejected a moment ago; its new token goes on being served",
            remedy="A token refused right after its mint is rarely at fault: check audience, scopes and clocks.",
            retry_after=wait,
        )

    async def _generation_of(self, entry: Entry, sha256: bytes) -> int | None:
        held = entry.token
        if held is not None and held.access_token.sha256() == sha256:
            return held.generation
        asked_at = self._clock.monotonic()
        (stored,) = await self._store.load([entry.key])
        if isinstance(stored, StoreUnavailable):
            raise stored
        if stored is None:
            return None
        # As if it had been held: what is rejected is known by its text, and what is not can be served.
        self._cache.put(entry, stored, asked_at)
        return stored.generation if stored.access_token.sha256() == sha256 else None


def _is_known_as(token: Token | None, generation: int) -> bool:
    """Whether a caller may have got this token under this number."""
    return token is not None and generation in (token.generation, token.served_as)
