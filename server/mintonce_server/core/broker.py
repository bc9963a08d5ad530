"""Get or mint: memory, then the store, then the lease. What the RPCs call."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from mintonce_server.core import events
from mintonce_server.core.alone import Alone
from mintonce_server.core.bell import Bell
from mintonce_server.core.client import Clients
from mintonce_server.core.edge import StoreEdge
from mintonce_server.core.errors import (
    Draining,
    InvalidRequest,
    IssuerError,
    RotationTooSoon,
    StoreUnavailable,
    WaitTimedOut,
)
from mintonce_server.core.filling import Filling
from mintonce_server.core.holdings import Holdings
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import Entry
from mintonce_server.core.minting import Minting
from mintonce_server.core.ports import Clock, Listing, Rejection, TokenStore
from mintonce_server.core.posting import Posting
from mintonce_server.core.refresher import Refresher
from mintonce_server.core.revalidation import Revalidation
from mintonce_server.core.supervise import Start
from mintonce_server.core.token import Origin, Token
from mintonce_server.core.upkeep import Upkeep

SILENCE: Final = 0.25
"""Seconds without an answer after which a caller who can wait no longer gets the live token, as in an outage."""

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
        self,
        store: TokenStore,
        clients: Clients,
        clock: Clock,
        sink: events.EventSink,
        options: BrokerOptions,
        chance: random.Random | None = None,
    ) -> None:
        """`chance` spreads retries and provisional generations; it guards nothing."""
        chance = chance or random.Random()  # noqa: S311 - see above
        store = StoreEdge(store, sink)
        bell = Bell()
        posting = Posting(clock, sink, chance)
        minting = Minting(store, clock, sink, bell, posting, options.mint_deadline)
        alone = Alone(allowed=options.mint_in_outage, posting=posting, clock=clock, sink=sink, chance=chance)
        self._refresher = Refresher(
            clock, lambda key: self.upkeep.refresh(key, self._refresher), self._refresh_failed, chance
        )
        self._holdings = Holdings(
            store,
            clients,
            clock,
            self._refresher.schedule,
            options.revalidate_within,
            options.max_keys_per_client,
            self._refresher.forget,
        )
        self._revalidation = Revalidation(
            store,
            self._holdings,
            clock,
            sink,
            lambda: self.upkeep.suspect_all(),  # noqa: PLW0108 - upkeep is built below
            options.min_rotation_interval,
        )
        self._filling = Filling(self._holdings, self._revalidation, minting, alone, clock)
        self.upkeep = Upkeep(store, self._holdings, self._filling, self._revalidation, bell, clock, sink)
        self.key_hash = store.key_hash
        self._store = store
        self._clock = clock
        self._sink = sink
        self._min_rotation_interval = options.min_rotation_interval
        self._draining = False

    def endless(self) -> dict[str, Start]:
        """What goes on without being asked, by name. Each may be started again when it fails."""
        return {"wakes": self.upkeep.follow, "revalidation": self.upkeep.revalidate, "refresh": self._refresher.run}

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """The same, started once."""
        return [start() for start in self.endless().values()]

    def peek(self, key: TokenKey, min_remaining: float = 0.0) -> Served | None:
        """The hot path: no I/O, no lock, no await. None: call `get`."""
        entry = self._holdings.memory.get(key)
        if entry is None:
            return None
        entry.asked_at = now = self._clock.monotonic()
        token = entry.token
        if token is None:
            return None
        entry.asked_again = True
        if not token.is_comfortable(now, min_remaining):
            return None
        if self._holdings.is_confirmed(entry, now):
            return Served(token, Origin.MEMORY, token.reissued)
        # Who holds a live token through an outage serves it; who was stopped for a while asks the store first.
        return Served(token, Origin.MEMORY, degraded=True) if self._holdings.is_store_away(entry, now) else None

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
        if key not in self._filling.flights:
            entry.wanted_by = caller
        token = None if entry.is_gone else entry.live(now)
        patience = min(deadline, token.patience(now)) if token else deadline
        try:
            async with _waiting_at_most(patience):
                obtained = await self._filling.fill(entry, min_remaining)
        except (IssuerError, StoreUnavailable, WaitTimedOut) as error:
            later = self._clock.monotonic()
            # Who waited for the store's answer, or long enough for its silence, gets what lives. Others what is known.
            # A process that was stopped has not waited: the answer may be there, and not be read yet.
            answered = not isinstance(error, WaitTimedOut) or SILENCE <= later - now <= patience + SILENCE
            may_serve = not entry.is_gone and (answered or self._may_serve(entry, later))
            if may_serve and (token := entry.live(later)):
                return Served(token, Origin.MEMORY, degraded=True)
            if isinstance(error, WaitTimedOut) and patience < deadline:
                # What was live has ended in this very moment: from now on it is worth waiting.
                return await self.get(key, min_remaining, deadline - (later - now), admit, caller)
            raise
        return Served(obtained.token, obtained.origin, obtained.trouble is not None or obtained.token.reissued)

    def _may_serve(self, entry: Entry, now: float) -> bool:
        """Whether the store has said lately that the token is current, or was asked in vain.

        After this process was stopped, neither need be so: a caller who does not wait for the store gets no old token.
        """
        return self._holdings.is_confirmed(entry, now) or self._holdings.is_store_away(entry, now)

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
            last = served.token
            yield served
            while not self._draining:
                now = self._clock.monotonic()
                news, token = entry.news, entry.live(now)
                ask_again = check()
                if token is not None and _succeeds(token, last, now):
                    last = token
                    yield Served(token, Origin.MEMORY, token.reissued)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ask_again):
                            await news.wait()
        raise Draining("this replica is shutting down", remedy="Watch again: another replica answers.", retry_after=0.0)

    async def reject(self, key: TokenKey, rejected: int | bytes, caller: str = "") -> bool:
        """A resource server refused this generation, or the token with this SHA-256. Whether it was the current one.

        Raises InvalidRequest for a generation above the newest one, RotationTooSoon, StoreUnavailable, and what `get`
        raises for a wrong key. `caller` is named in the log.
        """
        entry = self._holdings.entry(key, caller)
        if entry.token is not None and entry.token.provisional:
            await self._revalidation.confirm([entry])  # it gets a number that all replicas know
        generation = rejected if isinstance(rejected, int) else await self._generation_of(entry, rejected)
        if generation is None:
            return False
        is_held = _is_known_as(entry.token, generation)
        if is_held and entry.live(self._clock.monotonic()) is None:
            return False  # it is over anyway
        if is_held and (wait := entry.rejected_at + self._min_rotation_interval - self._clock.monotonic()) > 0:
            raise _too_soon(wait)
        rejection = await self._reject(entry, generation)
        if is_held and not rejection.was_current:
            # The store lost it and gets it back first; or the fleet has another one by now.
            await self._revalidation.confirm([entry])
            rejection = await self._reject(entry, generation)
        if rejection.retry_after is not None:
            raise _too_soon(rejection.retry_after)
        if not rejection.known and generation > entry.newest:
            raise InvalidRequest(
                "there is no such generation of this key",
                remedy="Reject the generation that came with the refused token, or send the token's SHA-256.",
            )
        self._forget(entry, generation, rejection, caller)
        return rejection.was_current

    async def _reject(self, entry: Entry, generation: int) -> Rejection:
        held = entry.token
        known = held.access_token.fingerprint() if held and _is_known_as(held, generation) else ""
        return await self._store.reject(entry.key, generation, self._min_rotation_interval, known)

    def _forget(self, entry: Entry, generation: int, rejection: Rejection, caller: str) -> None:
        """Serve no more what was rejected, by what the store said and not by what the caller did."""
        self._sink(events.Rejected(entry.key_hash, rejection.generation or generation, rejection.was_current, caller))
        if rejection.was_current:
            if entry.token is not None and entry.token.generation <= rejection.generation:
                # Else it is said again, perhaps, and puts off no other.
                entry.rejected_at, entry.rejected_by = self._clock.monotonic(), caller
            self._holdings.forget(entry, rejection.generation)
        elif entry.token is not None and _is_known_as(entry.token, generation):
            # The store does not take it, or not yet.
            self._holdings.forget(entry, entry.token.generation)

    async def rotate(self, key: TokenKey, deadline: float, caller: str = "") -> tuple[int, int]:
        """Mint a successor now. The generations before (0: none) and after. Raises as `get` does."""
        entry = self._holdings.entry(key, caller)
        asked_at = self._clock.monotonic()
        (current,) = await self._store.load([key])
        if isinstance(current, StoreUnavailable):
            raise current
        if current is not None:
            self._holdings.keep(entry, current, asked_at)
        before = current.generation if current else 0
        async with _waiting_at_most(deadline):
            obtained = await self._filling.fill(entry, 0.0, before, events.Cause.ROTATION)
        if obtained.trouble is not None and obtained.token.generation <= before:
            raise obtained.trouble
        return before, obtained.token.generation

    async def list_tokens(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens in the store, of one client or ("") of all, out of those that are wanted."""
        return await self._store.list(client, limit, wanted)

    def drain(self) -> None:
        """End all watches. Calls under way go on."""
        self._draining = True
        self.recheck()

    def recheck(self) -> None:
        """Have each watch look whether it may go on."""
        for entry in self._holdings.memory:
            entry.tell()

    def credentials_changed(self) -> None:
        """Try at once where a watch waits for a token: what was refused may be taken now. Callers try by asking."""
        now = self._clock.monotonic()
        for entry in self._holdings.memory:
            token = entry.live(now)
            if entry.watchers and (token is None or now >= token.refresh_at):
                self._refresher.schedule(entry.key, now)

    async def close(self, grace: float) -> None:
        """Let the mints under way land for `grace` seconds."""
        await self._filling.flights.close(grace)

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
        self._holdings.keep(entry, stored, asked_at)
        return stored.generation if stored.access_token.sha256() == sha256 else None

    def _refresh_failed(self, key: TokenKey, error: Exception) -> None:
        self._sink(events.Unforeseen(self.key_hash(key), "refresh", error))

    @contextmanager
    def _watching(self, entry: Entry) -> Generator[None]:
        entry.watchers += 1
        try:
            yield
        finally:
            entry.watchers -= 1


def _is_known_as(token: Token | None, generation: int) -> bool:
    """Whether a caller may have got this token under this number."""
    return token is not None and generation in (token.generation, token.served_as)


def _succeeds(token: Token, last: Token, now: float) -> bool:
    """Whether a watch that was sent `last` gets this live token: a newer one, or any other once `last` is over."""
    return token.generation > last.generation or (token.generation != last.generation and not last.is_live(now))


def _too_soon(retry_after: float) -> RotationTooSoon:
    return RotationTooSoon(
        "this key was rejected a moment ago; its new token goes on being served",
        remedy="A token refused right after its mint is rarely at fault: check audience, scopes and clocks.",
        retry_after=retry_after,
    )


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
