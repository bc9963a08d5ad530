"""Get or mint: memory, then the store, then the lease. What the RPCs call."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from mintonce_server.core import events
from mintonce_server.core.alone import Alone
from mintonce_server.core.bell import Bell
from mintonce_server.core.client import Clients
from mintonce_server.core.errors import Draining, IssuerError, RotationTooSoon, StoreUnavailable, WaitTimedOut
from mintonce_server.core.filling import Filling
from mintonce_server.core.holdings import Holdings
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import Entry
from mintonce_server.core.minting import Minting
from mintonce_server.core.ports import Clock, TokenStore
from mintonce_server.core.posting import Posting
from mintonce_server.core.refresher import Refresher
from mintonce_server.core.revalidation import Revalidation
from mintonce_server.core.token import Origin, Token
from mintonce_server.core.upkeep import Upkeep

Admit = Callable[[], None]
Check = Callable[[], float | None]


def _freely() -> None:
    """Whoever asks may cause a mint."""


def _always() -> None:
    """Whoever watches may go on."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Durations are seconds.

    Attributes:
        revalidate_within: a token that the store was not asked about for so long is not served before it is.
        mint_in_outage: mint without a lease while the store is out of reach.
        max_keys_per_client: more keys of one client are refused, so that nobody fills the memory by inventing some.
    """

    mint_deadline: float = 10.0
    min_rotation_interval: float = 30.0
    revalidate_within: float = 5.0
    mint_in_outage: bool = True
    max_keys_per_client: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Served:
    """An answer. `degraded`: live, but not what was wished for, because of trouble at the issuer or the store."""

    token: Token
    origin: Origin
    degraded: bool = False


class Broker:
    """One a process. Whoever builds it runs its `tasks` until it is closed."""

    def __init__(
        self, store: TokenStore, clients: Clients, clock: Clock, sink: events.EventSink, options: BrokerOptions
    ) -> None:
        chance = random.Random()  # noqa: S311 - spreads retries, guards nothing
        bell = Bell()
        posting = Posting(clock, sink, chance)
        minting = Minting(store, clock, sink, bell, posting, options.mint_deadline)
        alone = Alone(allowed=options.mint_in_outage, posting=posting, clock=clock, sink=sink, chance=chance)
        self._refresher = Refresher(clock, lambda key: self.upkeep.refresh(key, self._refresher))
        self._holdings = Holdings(
            store,
            clients,
            clock,
            self._refresher.schedule,
            options.revalidate_within,
            options.max_keys_per_client,
            self._refresher.forget,
        )
        revalidation = Revalidation(store, self._holdings, clock, sink, lambda: self.upkeep.suspect_all())  # noqa: PLW0108 - upkeep is built below
        self._filling = Filling(self._holdings, revalidation, minting, alone, clock)
        self.upkeep = Upkeep(store, self._holdings, self._filling, revalidation, bell, clock, sink)
        self.key_hash = store.key_hash
        self._store = store
        self._clock = clock
        self._sink = sink
        self._min_rotation_interval = options.min_rotation_interval
        self._draining = False

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on without being asked, endlessly."""
        return [self.upkeep.follow(), self.upkeep.revalidate(), self._refresher.run()]

    def peek(self, key: TokenKey, min_remaining: float = 0.0) -> Served | None:
        """The hot path: no I/O, no lock, no await. None: call `get`."""
        entry = self._holdings.memory.get(key)
        if entry is None:
            return None
        entry.asked_at = now = self._clock.monotonic()
        token = entry.token
        if token is None or not token.is_comfortable(now, min_remaining):
            return None
        if self._holdings.is_confirmed(entry, now):
            return Served(token, Origin.MEMORY)
        # Who holds a live token through an outage serves it; who was stopped for a while asks the store first.
        return Served(token, Origin.MEMORY, degraded=True) if self._holdings.is_store_away(now) else None

    async def get(
        self, key: TokenKey, min_remaining: float, deadline: float, admit: Admit = _freely, caller: str = ""
    ) -> Served:
        """A live token within `deadline` seconds, minted if need be.

        Raises UnknownClient, PermissionDenied, LimitExceeded, IssuerError, StoreUnavailable or WaitTimedOut.

        Args:
            admit: asked first if this call is the one that may cause a mint; raises when the caller must not.
            caller: who asks; its share of the client's keys in memory is bounded.
        """
        if served := self.peek(key, min_remaining):
            return served
        held = self._holdings.memory.get(key)
        if key not in self._filling.flights and (held is None or held.live(self._clock.monotonic()) is None):
            admit()
        entry, now = self._holdings.entry(key, caller), self._clock.monotonic()
        patience = min(deadline, token.patience(now)) if (token := entry.live(now)) else deadline
        try:
            async with _waiting_at_most(patience):
                obtained = await self._filling.fill(entry, min_remaining)
        except (IssuerError, StoreUnavailable, WaitTimedOut) as error:
            later = self._clock.monotonic()
            if token := entry.live(later):
                return Served(token, Origin.MEMORY, degraded=True)
            if isinstance(error, WaitTimedOut) and patience < deadline:
                # What was live has ended in this very moment: from now on it is worth waiting.
                return await self.get(key, min_remaining, deadline - (later - now), admit, caller)
            raise
        return Served(obtained.token, obtained.origin, obtained.trouble is not None)

    async def watch(
        self, key: TokenKey, deadline: float, admit: Admit = _freely, check: Check = _always, caller: str = ""
    ) -> AsyncGenerator[Served, None]:
        """The live token, then each successor. Raises as `get` does for the first one, and Draining at the end.

        Args:
            check: asked before each answer, and after `recheck`; raises when the caller may have no more. Gives the
                seconds after which it wants to be asked again, or None.
            caller: as in `get`.
        """
        served = await self.get(key, 0.0, deadline, admit, caller)
        entry = self._holdings.entry(key, caller)
        with self._watching(entry):
            last = served.token.generation
            yield served
            while not self._draining:
                news, token = entry.news, entry.token
                ask_again = check()
                if token is not None and token.generation > last:
                    last = token.generation
                    yield Served(token, Origin.MEMORY)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ask_again):
                            await news.wait()
        raise Draining("this replica is shutting down", remedy="Watch again: another replica answers.", retry_after=0.0)

    async def reject(self, key: TokenKey, rejected: int | bytes, caller: str = "") -> bool:
        """A resource server refused this generation, or the token with this SHA-256. Whether it was the current one.

        Raises RotationTooSoon, StoreUnavailable, and what `get` raises for a wrong key.
        """
        entry = self._holdings.entry(key, caller)
        generation = rejected if isinstance(rejected, int) else await self._generation_of(entry, rejected)
        if generation is None:
            return False
        rejection = await self._store.reject(key, generation, self._min_rotation_interval)
        if rejection.retry_after is not None:
            raise RotationTooSoon(
                "this key was rejected a moment ago; its new token goes on being served",
                remedy="A token refused right after its mint is rarely at fault: check audience, scopes and clocks.",
                retry_after=rejection.retry_after,
            )
        self._sink(events.Rejected(entry.key_hash, generation, rejection.was_current))
        self._holdings.forget(entry, generation)
        return rejection.was_current

    async def rotate(self, key: TokenKey, deadline: float, caller: str = "") -> tuple[int, int]:
        """Mint a successor now. The generations before (0: none) and after. Raises as `get` does."""
        entry = self._holdings.entry(key, caller)
        (current,) = await self._store.load([key])
        before = current.generation if current else 0
        async with _waiting_at_most(deadline):
            obtained = await self._filling.fill(entry, 0.0, before, events.Cause.ROTATION)
        if obtained.trouble is not None and obtained.token.generation <= before:
            raise obtained.trouble
        return before, obtained.token.generation

    async def list_tokens(self, client: str, limit: int) -> list[Token]:
        """The live tokens in the store, of one client or ("") of all."""
        return await self._store.list(client, limit)

    def drain(self) -> None:
        """End all watches. Calls under way go on."""
        self._draining = True
        self.recheck()

    def recheck(self) -> None:
        """Have each watch look whether it may go on."""
        for entry in self._holdings.memory:
            entry.tell()

    async def close(self, grace: float) -> None:
        """Let the mints under way land for `grace` seconds."""
        await self._filling.flights.close(grace)

    async def _generation_of(self, entry: Entry, sha256: bytes) -> int | None:
        tokens = [entry.token, *await self._store.load([entry.key])]
        return next((token.generation for token in tokens if token and token.access_token.sha256() == sha256), None)

    @contextmanager
    def _watching(self, entry: Entry) -> Generator[None]:
        entry.watchers += 1
        try:
            yield
        finally:
            entry.watchers -= 1


@asynccontextmanager
async def _waiting_at_most(seconds: float) -> AsyncGenerator[None]:
    """The caller's deadline, as an error of this house."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise WaitTimedOut(
            f"no token within {seconds:.1f} s; the mint goes on",
            remedy="Call again, with a longer deadline: a mint takes as long as the issuer does.",
            retry_after=1.0,
        ) from error
