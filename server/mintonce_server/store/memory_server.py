"""The server behind MemoryStore: the scripts of lua/ in Python, with a clock of its own."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.issuer_state import IssuerState
from mintonce_server.core.ports import Admitted, Backoff, Failure, Refusal, Wait, Wake, WakeKind
from mintonce_server.core.token import MAX_LIFETIME
from mintonce_server.store.memory_usage import UsageServer
from mintonce_server.store.memory_values import (
    Busy,
    Denied,
    Found,
    Granted,
    Held,
    Known,
    MemoryEntry,
    MemoryRow,
    Meta,
    Record,
    Rejected,
    TooSoon,
    Unknown,
)

META_MS: Final = int((MAX_LIFETIME + 86_400.0) * 1000)
BRIEF_MS: Final = 3_600_000
"""How long a key is remembered without a token, or after its last one."""

BACK_OFF_MS: Final = int(LONGEST_ASKED * 1000)

LUA_MAX: Final = 2**53
"""The scripts treat stored numbers from here on as absent: Lua numbers are not exact beyond it."""

READ_MAX: Final = 10**16
"""Reads without a script treat numbers from here on as absent: store/record.py reads no longer ones."""


@dataclass(slots=True)
class MemoryServer:
    """What several MemoryStores share, as replicas share a Redis. Each method is one script and is atomic.

    The methods have the scripts' numbered cases, and read numbers as Lua does: see `LUA_MAX`.
    """

    clock: Clock
    entries: dict[str, MemoryEntry] = field(default_factory=dict[str, MemoryEntry])
    issuers: dict[str, IssuerState] = field(default_factory=dict[str, IssuerState])
    listeners: dict[int, Callable[[Wake], None]] = field(default_factory=dict[int, Callable[[Wake], None]])
    subscribed: int = 0
    usage: UsageServer = field(init=False)

    def __post_init__(self) -> None:
        self.usage = UsageServer(self.clock)

    def acquire(
        self,
        name: str,
        *,
        nonce: str,
        lease: int,
        cv: int,
        newer_than: int,
        min_ttl: int,
        adopt: bool,
        proof: str = "",
    ) -> Found | Granted | Busy | Denied:
        """acquire.lua."""
        now = self.now()
        entry = self._entry(name, now)
        record, held, meta = entry.record, entry.lease, entry.meta
        f, row = _lua(record.f) if record else 0, None
        if record and f > _lua(meta.bar) and record.exp > now and record.cv >= cv:
            row = _row(record, f, now)
        # 1. HIT: a live token, new enough, with enough left.
        if record and row and f > newer_than and row.remaining > max(record.leeway, min(min_ttl, record.cap)):
            return Found(row)
        live = (record.fingerprint, row.remaining) if record and row else ("", 0)
        known = Known(meta.rejected_print, *live)
        # 2. The lease is the caller's: the reply was lost. 3. It is another holder's.
        if held:
            left, lost = held.ends - now, held.nonce == nonce
            return Granted(_lua(held.f), left, meta.n, known, now) if lost else Busy(left)
        # 4. The issuer recently refused this credential, or is unavailable, or repeats its token until that expires.
        if not adopt and (denied := _denied(meta, now, cv, row) or _refused(meta, now, proof, row)):
            return denied
        # 5. Grant the lease.
        generation = _double(max(_lua(meta.f) + 1, _lua(meta.bar) + 1, f + 1, newer_than + 1, self.now_us()))
        entry.lease = Held(nonce, generation, now + lease)
        meta.n = 0 if cv > meta.cv else meta.n
        meta.f, meta.cv, meta.ends = generation, max(cv, meta.cv), max(meta.ends, now + BRIEF_MS)
        return Granted(generation, lease, meta.n, known, now)

    def commit(self, name: str, record: Record, *, ttl: int, restored: bool) -> int | Refusal:
        """commit.lua. The expiry by this clock, or the refusal. `record.exp`: the latest possible expiry."""
        now = self.now()
        entry = self._entry(name, now)
        meta, generation = entry.meta, record.f
        f = _lua(entry.record.f) if entry.record else 0
        if entry.lease and _lua(entry.lease.f) == generation:
            entry.lease = None
        if entry.record and f == generation and entry.record.fingerprint == record.fingerprint:
            return entry.record.exp
        exp = min(now + ttl, record.exp)
        if exp <= now:
            return Refusal.DEAD
        if generation <= _lua(meta.bar):
            return Refusal.REJECTED
        if record.cv < meta.cv:
            return Refusal.OLD_CREDENTIALS
        if generation <= f:
            return Refusal.STALE
        entry.record = replace(record, exp=exp)
        meta.f, meta.cv, meta.ends = (
            max(_lua(meta.f), generation),
            max(record.cv, meta.cv),
            max(meta.ends, exp + BRIEF_MS),
        )
        if not restored:
            meta.n, meta.until, meta.until_cv, meta.failure = 0, 0, 0, None
        self.publish(Wake(WakeKind.COMMIT, name, generation))
        return exp

    def fail(
        self, name: str, *, nonce: str, generation: int, retry: int, failure: Failure, cv: int, proof: str = ""
    ) -> bool:
        """fail.lua. Whether it was recorded."""
        now = self.now()
        entry = self._entry(name, now)
        if not _is_holder(entry.lease, nonce, generation):
            return False
        entry.lease, meta = None, entry.meta
        if proof:
            meta.refused = {known: past for known, past in meta.refused.items() if past[0] > now}
            meta.refused[proof] = now + retry, replace(failure, of_proof=False)
        else:
            meta.until, meta.failure, meta.until_cv = now + retry, failure, cv
        meta.n += 0 if failure.of_issuer else 1
        meta.ends = max(meta.ends, now + BRIEF_MS)
        self.publish(Wake(WakeKind.FAIL, name, generation))
        return True

    def renew(self, name: str, *, nonce: str, generation: int, lease: int) -> bool:
        """renew.lua. Whether the lease is still the caller's."""
        now = self.now()
        held = self._entry(name, now).lease
        if held is None or not _is_holder(held, nonce, generation):
            return False
        held.ends = now + lease
        return True

    def reject(
        self, name: str, *, generation: int, min_interval: int, fingerprint: str = ""
    ) -> Rejected | TooSoon | Unknown | None:
        """reject.lua. None: OTHER."""
        if generation < 1:
            return None  # 0 stands for no token
        now = self.now()
        entry = self._entry(name, now)
        record, meta = entry.record, entry.meta
        f, provisional = (_lua(record.f), _lua(record.provisional)) if record else (0, 0)
        if max(f, _lua(meta.bar)) < _double(generation) == _lua(meta.f):
            f, provisional = _double(generation), 0  # granted last, and not committed yet
        elif record:
            fingerprint = record.fingerprint
        if _double(generation) not in (f, provisional):
            if generation in (meta.rejected, meta.rejected_as):
                return Rejected(meta.rejected or 0)
            return Unknown() if generation > max(f, provisional, _lua(meta.f), _lua(meta.bar)) else None
        wait = meta.rejected_at + min_interval - now
        if 0 < wait <= min_interval:
            return TooSoon(wait)
        meta.bar = max(_lua(meta.f), _lua(meta.bar), f)
        entry.record = entry.lease = None
        meta.rejected, meta.rejected_as, meta.rejected_at = f, provisional, now
        meta.rejected_print, meta.ends = fingerprint, max(meta.ends, now + BRIEF_MS)
        self.publish(Wake(WakeKind.REJECT, name, generation))
        return Rejected(f)

    def barrier(self, name: str, *, generation: int, fingerprint: str, min_interval: int) -> TooSoon | None:
        """barrier.lua. None: OK."""
        now = self.now()
        entry = self._entry(name, now)
        meta = entry.meta
        if _lua(meta.bar) >= generation:
            return None
        falls = entry.record is not None and 0 < _lua(entry.record.f) <= generation
        wait = meta.rejected_at + min_interval - now
        if falls and 0 < wait <= min_interval:
            return TooSoon(wait)
        entry.record = None if falls else entry.record
        if entry.lease and _lua(entry.lease.f) <= generation:
            entry.lease = None
        meta.f, meta.bar, meta.rejected, meta.rejected_as = max(_lua(meta.f), generation), generation, generation, 0
        meta.rejected_print, meta.ends = fingerprint, now + META_MS
        if falls:
            meta.rejected_at = now
            self.publish(Wake(WakeKind.REJECT, name, generation))
        return None

    def enter(self, issuer: str, *, nonce: str) -> Admitted | Wait | Backoff:
        """enter.lua."""
        return self.issuers.setdefault(issuer, IssuerState()).enter(nonce, self.now())

    def learn(self, issuer: str, *, admitted: Admitted, failure: Failure | None, pause: int) -> bool:
        """learn.lua."""
        return self.issuers.setdefault(issuer, IssuerState()).learn(admitted, failure, pause, self.now())

    def read(self, names: Collection[str]) -> list[MemoryRow | None]:
        """The record under each name. These are plain commands, which do not read meta."""
        now = self.now()
        records = [entry.record if (entry := self.entries.get(name)) else None for name in names]
        return [
            _row(record, record.f, now) if record and record.exp > now and record.f < READ_MAX else None
            for record in records
        ]

    def read_all(self) -> dict[str, MemoryRow]:
        """All records."""
        names = list(self.entries)
        return {name: row for name, row in zip(names, self.read(names), strict=True) if row}

    def publish(self, wake: Wake) -> None:
        """Notify the listeners, in the order of their subscription."""
        for listener in list(self.listeners.values()):
            listener(wake)

    def subscribe(self, listener: Callable[[Wake], None]) -> Callable[[], None]:
        """Subscribe a listener. Call the result to unsubscribe it."""
        self.subscribed += 1
        number = self.subscribed
        self.listeners[number] = listener
        return lambda: self.listeners.pop(number, None) and None

    def now(self) -> int:
        """Milliseconds, as a script computes them from TIME."""
        return self.now_us() // 1000

    def now_us(self) -> int:
        """Microseconds, from which generations are made."""
        return round(self.clock.unix() * 1_000_000)

    def copy(self) -> dict[str, MemoryEntry]:
        """The entries of a replica of this server. Assign them to `entries` for a failover to it."""
        return {name: entry.copy() for name, entry in self.entries.items()}

    def _entry(self, name: str, now: int) -> MemoryEntry:
        """The key's entry, without expired parts."""
        entry = self.entries.get(name)
        if entry is None:
            # Each new key removes the expired ones: nothing is kept forever.
            for old in [name for name, known in self.entries.items() if _is_over(known, now)]:
                del self.entries[old]
            entry = self.entries[name] = MemoryEntry(Meta(ends=now + BRIEF_MS))
            return entry
        if entry.meta.ends <= now:
            entry.meta = Meta(ends=now + BRIEF_MS)
        if entry.record and entry.record.exp <= now:
            entry.record = None
        if entry.lease and entry.lease.ends <= now:
            entry.lease = None
        return entry


def _row(record: Record, f: int, now: int) -> MemoryRow:
    return MemoryRow(f, record.exp - now, record.exp, record.payload)


def _denied(meta: Meta, now: int, cv: int, row: MemoryRow | None) -> Denied | None:
    """Because of a failure that does not depend on the credential."""
    failure, left = meta.failure, meta.until - now
    if failure is None or left <= 0 or meta.until_cv < cv:
        return None
    return Denied(failure, left, row) if (row if failure.while_live else left <= BACK_OFF_MS) else None


def _refused(meta: Meta, now: int, proof: str, row: MemoryRow | None) -> Denied | None:
    """Because the issuer refused this credential."""
    until, failure = meta.refused.get(proof, (0, None))
    return Denied(failure, until - now, row) if failure and 0 < until - now <= BACK_OFF_MS else None


def _is_holder(lease: Held | None, nonce: str, generation: int) -> bool:
    return lease is not None and (lease.nonce, lease.f) == (nonce, generation)


def _is_over(entry: MemoryEntry, now: int) -> bool:
    return entry.meta.ends <= now and (entry.record is None or entry.record.exp <= now)


def _lua(number: int) -> int:
    """A stored number, as the scripts read it."""
    return number if 0 < number < LUA_MAX else 0


def _double(number: int) -> int:
    """A whole number after Lua's arithmetic."""
    return number if -LUA_MAX < number < LUA_MAX else int(float(number))
