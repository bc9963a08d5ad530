"""Mints without a lease, for keys that this replica does not hold while the store is out of reach."""

import random
from dataclasses import replace
from typing import Final, NamedTuple

from mintonce_server.common.clock import Clock
from mintonce_server.core import edge, events
from mintonce_server.core.backoff import LONGEST, error_of, failure_of, trouble_of_issuer
from mintonce_server.core.cache import NEVER, Entry
from mintonce_server.core.caller import ANONYMOUS
from mintonce_server.core.errors import IssuerError, StoreUnavailable
from mintonce_server.core.events import Cause
from mintonce_server.core.issuer_state import IssuerState
from mintonce_server.core.key import TokenKey
from mintonce_server.core.limits import Bucket
from mintonce_server.core.mint import Obtained
from mintonce_server.core.mint_attempt import Attempt, MintAttempts
from mintonce_server.core.ports import Admitted, Backoff, Failure, Wait
from mintonce_server.core.token import Origin, Token
from mintonce_server.core.turns import WaitBudget

BURST: Final = 20
PER_SECOND: Final = 1.0
"""Mints without a lease, for all keys of this replica together: 20 at once, then one a second."""

MOST_ACCOUNTS: Final = 1_000

SPREAD_MIN: Final = 1_000_000
SPREAD_MAX: Final = 3_600_000_000
"""Provisional generations are microseconds, as those of the store: one of the last hour, or what is left of that above
the newest seen here. When that is less than a second, up to a second above it."""


_NAMELESS: Final = frozenset({"", ANONYMOUS.name})


class _Negative(NamedTuple):
    """A lone mint that failed. `until`: when it may be tried again; `failures`: how many failed in a row."""

    until: float
    failure: Failure
    proof: str
    failures: int


class _OwnGate:
    """Implements ports.IssuerGate for one replica, for the accounts that were used last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, IssuerState] = {}

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        return self._used(issuer).enter(nonce, self._now())

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        return self._used(issuer).learn(admitted, failure, int(pause * 1000), self._now())

    def look(self, issuer: str) -> Admitted | Wait | Backoff:
        """What `enter` would say now to a new nonce. Nothing changes."""
        return replace(self._accounts.get(issuer, IssuerState())).enter("?", self._now())

    def _used(self, issuer: str) -> IssuerState:
        state = self._accounts.pop(issuer, None) or IssuerState()
        self._accounts[issuer] = state
        if len(self._accounts) > MOST_ACCOUNTS:  # each rotated secret begins one
            del self._accounts[next(iter(self._accounts))]
        return state

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)


class OutageBudget:
    """A caller takes one only while it has taken less of late than is left for the others.

    So one alone has half at once and then all that comes, and never keeps out another that asks for little. Callers
    without a name are one: nothing is kept back from them.
    """

    def __init__(self, now: float) -> None:
        self._all = Bucket(PER_SECOND, BURST, now)
        self._taken: dict[str, float] = {}
        """By each caller, less what came again since. A caller that is back at zero is dropped, so there are few."""
        self._at = now

    def take(self, caller: str, now: float) -> bool:
        """Whether there was one."""
        self._all.fill(now)
        again, self._at = max(0.0, now - self._at) * PER_SECOND, now
        self._taken = {name: left for name, taken in self._taken.items() if (left := taken - again) > 0.0}
        taken = self._taken.get(caller, 0.0)
        if caller not in _NAMELESS and taken + 1.0 > self._all.left:
            return False
        if self._all.take(now) > 0.0:
            return False
        self._taken[caller] = taken + 1.0
        return True


class OutageMinter:
    """Mints without a lease, or refuses to: `store_outage = "mint" | "refuse"`."""

    def __init__(
        self, *, allowed: bool, attempts: MintAttempts, clock: Clock, sink: events.EventSink, rng: random.Random
    ) -> None:
        self._allowed = allowed
        self._attempts = attempts
        self._clock = clock
        self._sink = sink
        self._rng = rng
        self._budget = OutageBudget(clock.monotonic())
        self._negative: dict[TokenKey, _Negative] = {}
        self._gate = _OwnGate(clock)

    async def mint(self, entry: Entry, outage: StoreUnavailable, budget: WaitBudget) -> Obtained | None:
        """None: it waited for another key's POST, and the store may be back: ask that again.

        Raises the outage itself when minting is not allowed or over the rate, and IssuerError.

        Args:
            budget: for such waits, all of them together.
        """
        key, key_hash, client = entry.key, entry.key_hash, entry.client
        self._sink(events.StoreFailed(key_hash, str(outage), minting=self._allowed))
        if not self._allowed:
            raise outage
        proof = edge.proof(client, self._sink)
        failures = self._check_back_off(key, proof)
        match self._gate.look(client.account(proof)):
            case Wait(seconds):
                await budget.wait(client.turns.news.wait, seconds)
                return None
            case Backoff(failure, seconds):
                raise trouble_of_issuer(failure, seconds)
            case Admitted():
                pass
        if not self._budget.take(entry.wanted_by, self._clock.monotonic()):
            raise _used_up(outage)
        generation = self._generation(entry)
        try:
            attempt = Attempt(entry, generation, failures, Cause.OUTAGE, proof)
            minted = await self._attempts.run(attempt, self._gate)
        except IssuerError as error:
            self._remember(key, error, proof, failures + 1)
            raise
        self._negative.pop(key, None)
        reissued = minted.access_token.fingerprint() == entry.rejected
        if reissued:
            self._sink(events.Reissued(key_hash, client.name, generation, entry.rejected_by))
        clocks, version = self._clock.unix() - self._clock.monotonic(), client.credential_version
        token = Token.of(minted, key, key_hash, generation, version, clocks, provisional=True, reissued=reissued)
        return Obtained(token, Origin.MINT, NEVER, outage)

    def _generation(self, entry: Entry) -> int:
        """A provisional number: it orders what this replica serves, until the store gives the token a number.

        Above all seen here, so that watches go on. Not ahead of the clock, so that the store's numbers stay with its
        own. At random in between: a rejection names the number, and two replicas should not give one to two tokens.
        """
        now = int(self._clock.unix() * 1_000_000)
        floor = max(entry.newest, now - SPREAD_MAX)
        return floor + 1 + self._rng.randrange(max(now - floor, SPREAD_MIN))

    def _remember(self, key: TokenKey, error: IssuerError, proof: str, failures: int) -> None:
        now = self._clock.monotonic()
        # Old entries are dropped, so that invented keys cannot fill the memory.
        self._negative = {key: past for key, past in self._negative.items() if past.until > now - LONGEST}
        self._negative[key] = _Negative(now + (error.retry_after or 0.0), failure_of(error), proof, failures)

    def _check_back_off(self, key: TokenKey, proof: str) -> int:
        """How often minting this key failed in a row. Raises the last failure while its back-off lasts."""
        past = self._negative.get(key)
        if past is None or (past.failure.of_proof and past.proof != proof):
            return 0
        if (left := past.until - self._clock.monotonic()) > 0:
            raise error_of(past.failure, left)
        return past.failures


def _used_up(outage: StoreUnavailable) -> StoreUnavailable:
    error = StoreUnavailable(
        f"{outage}; and the mints that this replica makes without it are used up for now",
        remedy=f"{outage.remedy} Until then a replica mints {BURST} tokens at once and {PER_SECOND:g} a second.",
        retry_after=1.0 / PER_SECOND,
        partial=outage.partial,
    )
    error.__cause__ = outage
    return error
