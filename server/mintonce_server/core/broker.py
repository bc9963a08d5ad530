"""Get or mint: memory, then the store, then the lease. What the RPCs call."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.budget import WasteRefused, never
from mintonce_server.core.cache import Cache, Entry
from mintonce_server.core.client import Clients
from mintonce_server.core.edge import StoreEdge
from mintonce_server.core.errors import BudgetUsedUp, Draining, IssuerError, StoreUnavailable, WaitTimedOut
from mintonce_server.core.fetch import Fetcher
from mintonce_server.core.key import TokenKey
from mintonce_server.core.key_survey import KeySurveyor
from mintonce_server.core.mint import LeasedMinter, Obtained
from mintonce_server.core.mint_attempt import MintAttempts
from mintonce_server.core.outage import OutageMinter
from mintonce_server.core.ports import Listing, TokenStore
from mintonce_server.core.reconcile import Reconciler
from mintonce_server.core.refresh import Refresher
from mintonce_server.core.reject import Rejecter
from mintonce_server.core.schedule import Schedule
from mintonce_server.core.single_flight import SingleFlight, Wakeups
from mintonce_server.core.supervise import Start
from mintonce_server.core.tally import Tally, tally
from mintonce_server.core.token import LIVE_PATIENCE, Origin, Token
from mintonce_server.core.tracing import Tracer

SILENCE: Final = 0.25
"""A caller whose deadline comes after so many seconds without an answer gets the live token, as in an outage."""

Admit = Callable[[], None]
Check = Callable[[], float | None]


def _freely() -> None:
    """Default: the caller may cause a mint."""


def _always() -> None:
    """Default: the watch may go on."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Durations are seconds.

    Attributes:
        revalidate_within: a token that the store was not asked about for so long is not served before it is.
        mint_in_outage: mint without a lease while the store is out of reach.
        max_keys_per_client: more keys of one client are refused, so that invented keys cannot fill the memory.
    """

    mint_deadline: float
    min_rotation_interval: float
    revalidate_within: float
    mint_in_outage: bool
    max_keys_per_client: int


@dataclass(frozen=True, slots=True)
class Served:
    """An answer. `degraded`: live, but not as good as requested, because the issuer or the store is in trouble."""

    token: Token
    origin: Origin
    degraded: bool = False


class Broker:
    """One a process. The owner runs its `tasks` and then calls `close`."""

    def __init__(
        self,
        store: TokenStore,
        clients: Clients,
        clock: Clock,
        sink: events.EventSink,
        options: BrokerOptions,
        rng: random.Random | None = None,
        waste_refused: WasteRefused = never,
        tracer: Tracer | None = None,
    ) -> None:
        """`rng` spreads retries and provisional generations; it guards nothing. `waste_refused`: by the budgets."""
        rng = rng or random.Random()  # noqa: S311 - see above
        store = StoreEdge(store, sink)
        flights: SingleFlight[Obtained] = SingleFlight()
        wakeups, schedule = Wakeups(), Schedule(clock, rng)
        interval = options.min_rotation_interval
        cache = Cache(
            store.key_hash, clients, clock, schedule, flights, options.revalidate_within, options.max_keys_per_client
        )
        attempts = MintAttempts(clock, sink, rng)
        minter = LeasedMinter(store, clock, sink, wakeups, attempts, options.mint_deadline)
        outage_minter = OutageMinter(allowed=options.mint_in_outage, attempts=attempts, clock=clock, sink=sink, rng=rng)
        self.key_hash = store.key_hash
        self._clients = clients
        self._store = store
        self._clock = clock
        self._flights = flights
        self._schedule = schedule
        self._cache = cache
        self._reconciler = Reconciler(store, cache, flights, wakeups, clock, sink, interval)
        self._fetcher = Fetcher(cache, self._reconciler, minter, outage_minter, flights, clock, tracer)
        self._refresher = Refresher(schedule, cache, self._fetcher, flights, clock, sink, waste_refused, tracer)
        self._rejecter = Rejecter(store, cache, self._reconciler, clock, sink, interval, waste_refused)
        self._waste_refused = waste_refused
        self.survey = KeySurveyor(cache, flights, clock).survey
        self._draining = False

    def endless(self) -> dict[str, Start]:
        """The background tasks by name. Each may be started again when it fails."""
        return {"wakes": self._reconciler.follow, "revalidation": self._reconciler.run, "refresh": self._refresher.run}

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """The same, started once."""
        return [start() for start in self.endless().values()]

    def canonical(self, key: TokenKey) -> TokenKey:
        """See Clients.canonical."""
        return self._clients.canonical(key) if " " in key.audience else key

    def peek(self, key: TokenKey, min_ttl: float = 0.0, least: float = 0.0) -> Served | None:
        """The hot path: no I/O, no lock, no await. None: call `get`, which has the same arguments."""
        entry = self._cache.get(key)
        if entry is None:
            return None
        entry.asked_at = now = self._clock.monotonic()
        token = entry.token
        if token is None:
            return None
        entry.asked_again = True
        if not token.has_min_ttl(now, min_ttl) or token.expires_at - now < least:
            return None
        if self._cache.is_confirmed(entry, now):
            return Served(token, Origin.MEMORY, token.reissued)
        # In an outage a live token is served. After this process was stopped for a while, the store is asked first.
        return Served(token, Origin.MEMORY, degraded=True) if self._cache.is_store_away(entry, now) else None

    async def get(
        self,
        key: TokenKey,
        min_ttl: float,
        deadline: float,
        admit: Admit = _freely,
        caller: str = "",
        *,
        patience: float = LIVE_PATIENCE,
        least: float = 0.0,
    ) -> Served:
        """A live token within `deadline` seconds, minted if need be.

        Raises UnknownClient, PermissionDenied, LimitExceeded, IssuerError, StoreUnavailable or WaitTimedOut.

        Args:
            admit: called first if this call may cause a mint; raises when the caller must not.
            caller: its name; its share of the client's keys in memory is bounded.
            patience: seconds to wait at most for a better token than the live one.
            least: seconds that a token must have left; one with less counts as none.
        """
        if served := self.peek(key, min_ttl, least):
            return served
        held = self._cache.get(key)
        if key not in self._flights and (held is None or held.live(self._clock.monotonic()) is None):
            admit()
        entry, now = self._cache.entry(key, caller), self._clock.monotonic()
        if key not in self._flights:
            entry.wanted_by = caller
        token = None if entry.is_gone else entry.lasting(now, least)
        wait = min(deadline, token.max_wait(now, patience)) if token else deadline
        try:
            async with _waiting_at_most(wait):
                obtained = await self._fetcher.fetch(entry, max(min_ttl, least))
        except (IssuerError, StoreUnavailable, WaitTimedOut) as error:
            later = self._clock.monotonic()
            # A caller that waited for the store's answer, or long enough without one, gets the live token.
            # A process that was stopped has not waited: the answer may have come, and not be read yet.
            answered = not isinstance(error, WaitTimedOut) or SILENCE <= later - now <= wait + SILENCE
            may_serve = not entry.is_gone and (answered or self._may_serve(entry, later))
            if may_serve and (token := entry.lasting(later, least)):
                return Served(token, Origin.MEMORY, degraded=True)
            if isinstance(error, WaitTimedOut) and wait < deadline:
                # The live token has just ended: from now on it is worth waiting.
                return await self.get(
                    key, min_ttl, deadline - (later - now), admit, caller, patience=patience, least=least
                )
            raise
        if obtained.token.remaining(self._clock.monotonic()) < least:
            raise obtained.trouble or WaitTimedOut(
                f"the token that came ends in less than {least:g} s", remedy="Try again in a second.", retry_after=1.0
            )
        return Served(obtained.token, obtained.origin, obtained.trouble is not None or obtained.token.reissued)

    def _may_serve(self, entry: Entry, now: float) -> bool:
        """Whether the store said lately that the token is current, or failed to answer.

        After this process was stopped, neither may be true. Then a caller that does not wait for the store gets no
        old token.
        """
        return self._cache.is_confirmed(entry, now) or self._cache.is_store_away(entry, now)

    async def watch(
        self, key: TokenKey, deadline: float, admit: Admit = _freely, check: Check = _always, caller: str = ""
    ) -> AsyncGenerator[Served, None]:
        """The live token, then each successor. Raises as `get` does for the first one, and Draining at the end.

        Args:
            check: called before each answer, and after `recheck`; raises when the watch must end. Returns the seconds
                after which it must be called again, or None.
            caller: as in `get`.
        """
        served = await self.get(key, 0.0, deadline, admit, caller)
        entry = self._cache.entry(key, caller)
        with self._watching(entry):
            last = served.token
            yield served
            while not self._draining:
                now = self._clock.monotonic()
                changed, token = entry.changed, entry.live(now)
                ask_again = check()
                if token is not None and _succeeds(token, last, now):
                    last = token
                    yield Served(token, Origin.MEMORY, token.reissued)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(ask_again):
                            await changed.wait()
        raise Draining("this replica is shutting down", remedy="Watch again: another replica answers.", retry_after=0.0)

    async def reject(self, key: TokenKey, rejected: int | bytes, caller: str = "") -> bool:
        """See Rejecter.reject."""
        return await self._rejecter.reject(key, rejected, caller)

    async def rotate(self, key: TokenKey, deadline: float, caller: str = "") -> tuple[int, int]:
        """Mint a successor now. The generations before (0: none) and after. Raises as `get` does, and BudgetUsedUp."""
        entry = self._cache.entry(key, caller)
        if (seconds := self._waste_refused(key.client)) is not None:
            raise _used_up(key.client, seconds)
        asked_at = self._clock.monotonic()
        (current,) = await self._store.load([key])
        if isinstance(current, StoreUnavailable):
            raise current
        if current is not None:
            self._cache.put(entry, current, asked_at)
        # The store may have lost what is held here, or hold what this release cannot read: a rotation replaces it, too.
        held = entry.live(asked_at)
        before = max(current.generation if current else 0, held.generation if held else 0)
        async with _waiting_at_most(deadline):
            obtained = await self._fetcher.fetch(entry, 0.0, before, events.Cause.ROTATION)
        if obtained.trouble is not None and obtained.token.generation <= before:
            raise obtained.trouble
        return before, obtained.token.generation

    def require_client(self, name: str) -> None:
        """Raises UnknownClient."""
        self._clients.named(name)

    async def list_tokens(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens in the store that `wanted` accepts, of one client or ("") of all."""
        return await self._store.list(client, limit, wanted)

    def tally(self) -> Tally:
        """What is held and under way. Takes 20 ms for 100,000 keys."""
        found = tally(self._cache, self._clock.monotonic())
        found.flights, found.waiters = len(self._flights), self._flights.waiters
        found.refreshing, found.overdue = self._schedule.running, self._schedule.overdue()
        return found

    @property
    def is_draining(self) -> bool:
        """Whether this replica is shutting down."""
        return self._draining

    def drain(self) -> None:
        """End all watches. Running calls go on."""
        self._draining = True
        self.recheck()

    def recheck(self) -> None:
        """Make each watch check whether it may go on."""
        for entry in self._cache:
            entry.notify()

    def credentials_changed(self) -> None:
        """A credential that was refused may be taken now: try where a watch waits for a token."""
        self._refresher.retry()

    async def close(self, grace: float) -> None:
        """Let running mints finish for `grace` seconds."""
        await self._flights.close(grace)

    @contextmanager
    def _watching(self, entry: Entry) -> Generator[None]:
        entry.watchers += 1
        try:
            yield
        finally:
            entry.watchers -= 1


def _used_up(client: str, seconds: float) -> BudgetUsedUp:
    return BudgetUsedUp(
        f"the token budget of client '{client}' is used up, and no caller needs this mint",
        remedy="Wait for the next month or day, raise the budget, or set its when_used_up to warn. If the token was "
        "stolen, reject it: callers then get another one.",
        retry_after=seconds,
    )


def _succeeds(token: Token, last: Token, now: float) -> bool:
    """Whether a watch that was sent `last` gets this live token: a newer one, or any other once `last` is over."""
    return token.generation > last.generation or (token.generation != last.generation and not last.is_live(now))


@asynccontextmanager
async def _waiting_at_most(seconds: float) -> AsyncGenerator[None]:
    """Turns the caller's deadline into WaitTimedOut."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise WaitTimedOut(
            f"no token within {seconds:.1f} s; the mint goes on",
            remedy="Call again: the next call gets what the mint brings. A longer deadline, if you set one, waits.",
            retry_after=1.0,
        ) from error
