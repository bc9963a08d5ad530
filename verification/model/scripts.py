"""The six acts on a key, as pure functions: the specification of store/lua/*.lua, case by case in the same order.

Every act is atomic and idempotent: said again after a lost reply, it answers the same and changes nothing more.
Times are whole milliseconds, `now` is the store's clock.
"""

from model.values import (
    Acquired,
    Backoff,
    Committed,
    Granted,
    Hit,
    Lease,
    Outcome,
    Raised,
    Record,
    Refused,
    Rejection,
    State,
    Token,
    Wait,
)


def acquire(
    state: State,
    now: int,
    *,
    nonce: str,
    lease: int,
    version: int,
    newer_than: int,
    min_ttl: int,
    clock: int,
    adopt: bool = False,
) -> Outcome[Acquired]:
    """May this try have the token, wait for it, or mint it?

    `adopt`: it has a token, and wants a number for it. `clock`: now, in what generations count.
    """
    record, held, meta = state = state.at(now)
    # A record counts if it is not barred and not of older credentials than the asker's.
    row = record if record and record.generation > meta.barrier and record.version >= version else None
    # 1. HIT: a live token, new enough, with enough left.
    if row and row.generation > newer_than and row.expiry - now > max(row.leeway, min(min_ttl, row.cap)):
        return Outcome(state, Hit(row))
    live = (row.print, row.expiry - now) if row else ("", 0)
    # 2. The lease is ours: the reply was lost.
    if held and held.nonce == nonce:
        left = held.lapses - now
        return Outcome(state, Granted(held.generation, left, meta.failures, meta.rejected_print, *live))
    # 3. It is another's.
    if held:
        return Outcome(state, Wait(held.lapses - now))
    # 4. The issuer refused lately, with these credentials or newer ones; or repeats its token until that ends.
    shut = meta.until > now and meta.until_version >= version and (row or not meta.while_live)
    if shut and not adopt:
        return Outcome(state, Backoff(meta.failure, meta.until - now, row))
    # 5. Our turn. The clock and what the asker has seen make generations rise even after the store lost its data.
    newest = max(meta.generation, meta.barrier, record.generation if record else 0, newer_than)
    generation = max(newest + 1, clock)
    failures = 0 if version > meta.version else meta.failures
    meta = meta._replace(generation=generation, version=max(version, meta.version), failures=failures)
    granted = Granted(generation, lease, failures, meta.rejected_print, *live)
    return Outcome(State(record, Lease(nonce, generation, now + lease), meta), granted)


def commit(state: State, now: int, token: Token, *, restored: bool = False) -> Outcome[Committed | Refused]:
    """Make a token current. `restored`: it was minted before, and the store lost it or never got it."""
    record, held, meta = state.at(now)
    # Its own lease ends, whatever comes out: kept on a refusal, it would make all wait in vain.
    if held and held.generation == token.generation:
        held = None
    state = State(record, held, meta)
    # 1. It is there: the reply was lost.
    if record and record.generation == token.generation and record.print == token.print:
        return Outcome(state, Committed("DUP", record.expiry))
    # 2. Its life is over. What lay somewhere on its way has aged meanwhile.
    expiry = min(now + token.ttl, token.latest)
    if expiry <= now:
        return Outcome(state, Refused("DEAD"))
    # 3. It was rejected, or its mint had begun before a rejection. Its credentials do not matter.
    if token.generation <= meta.barrier:
        return Outcome(state, Refused("REJECTED"))
    # 4. Newer credentials were tried: who has those takes no older token.
    if token.version < meta.version:
        return Outcome(state, Refused("OLD_CREDENTIALS"))
    # 5. There is a newer one, or another one of the same number.
    if record and token.generation <= record.generation:
        return Outcome(state, Refused("STALE"))
    # 6. It counts.
    meta = meta._replace(generation=max(meta.generation, token.generation), version=max(meta.version, token.version))
    # Only a new token says that the issuer is well again.
    if not restored:
        meta = meta._replace(failures=0, until=0, failure="", until_version=0, while_live=False)
    record = Record(
        generation=token.generation,
        expiry=expiry,
        version=token.version,
        leeway=token.leeway,
        cap=token.cap,
        payload=token.payload,
        print=token.print,
        provisional=token.provisional,
    )
    return Outcome(State(record, held, meta), Committed("OK", expiry), ("commit", token.generation))


def restore(state: State, now: int, token: Token) -> Outcome[Committed | Refused]:
    """Give back a token that the store lost."""
    return commit(state, now, token, restored=True)


def fail(
    state: State,
    now: int,
    *,
    nonce: str,
    generation: int,
    retry: int,
    failure: str,
    version: int,
    while_live: bool = False,
    own: bool = True,
) -> Outcome[bool]:
    """The mint of this lease failed. Only its holder may say so, and only once: the lease is gone then."""
    record, held, meta = state = state.at(now)
    # 1. It is not ours, or no longer.
    if not held or held.nonce != nonce or held.generation != generation:
        return Outcome(state, False)
    # 2. No replica tries again for `retry` ms with these credentials; or only while the live token lives.
    meta = meta._replace(until=now + retry, failure=failure, until_version=version, while_live=while_live)
    # 3. It counts among the failures of the key, unless it is the issuer's trouble.
    meta = meta._replace(failures=meta.failures + own)
    return Outcome(State(record, None, meta), True, ("fail", generation))


def renew(state: State, now: int, *, nonce: str, generation: int, lease: int) -> Outcome[bool]:
    """Hold a lease longer."""
    record, held, meta = state = state.at(now)
    # 1. It is not ours, or no longer.
    if not held or held.nonce != nonce or held.generation != generation:
        return Outcome(state, False)
    # 2. It is.
    return Outcome(State(record, held._replace(lapses=now + lease), meta), True)


def reject(state: State, now: int, *, generation: int, min_interval: int, text: str = "") -> Outcome[Rejection]:
    """A resource server refused this generation: drop it, and bar it and all whose mints were begun before.

    `text`: the print of a token that is not here, if the asker knows it.
    """
    record, _, meta = state = state.at(now)
    # 0. It names no token.
    if generation < 1:
        return Outcome(state, Rejection("OTHER"))
    current, provisional = (record.generation, record.provisional) if record else (0, 0)
    # Given out last: the replica that has its token could not commit it yet.
    if max(current, meta.barrier) < generation == meta.generation:
        current, provisional = generation, 0
    elif record:
        text = record.print
    if generation not in (current, provisional):
        # 1. It was, and this is said again, or by another caller: the same answer, without effect.
        if generation in (meta.rejected, meta.rejected_as):
            return Outcome(state, Rejection("CURRENT", meta.rejected))
        # 2. It never was.
        if generation > max(current, provisional, meta.generation, meta.barrier):
            return Outcome(state, Rejection("UNKNOWN"))
        # 3. It is not the current one.
        return Outcome(state, Rejection("OTHER"))
    # 4. The last rejection is too fresh: a caller in a loop must not burn tokens.
    wait = meta.rejected_at + min_interval - now
    if wait > 0:
        return Outcome(state, Rejection("TOO_SOON", ms=wait))
    # 5. The barrier covers mints in flight too, and ends their lease.
    barrier = max(meta.generation, meta.barrier, current)
    meta = meta._replace(barrier=barrier, rejected=current, rejected_as=provisional)
    meta = meta._replace(rejected_print=text, rejected_at=now)
    return Outcome(State(None, None, meta), Rejection("CURRENT", current), ("reject", generation))


def barrier(state: State, now: int, *, generation: int, text: str, min_interval: int) -> Outcome[Raised]:
    """A replica remembers a rejection that the store has lost. `text`: the print of what was rejected."""
    record, held, meta = state = state.at(now)
    # 1. The store has it, or another replica was first.
    if meta.barrier >= generation:
        return Outcome(state, Raised("OK"))
    # 2. A token would fall, and the last rejection is too fresh.
    falls = record is not None and record.generation <= generation
    wait = meta.rejected_at + min_interval - now
    if falls and wait > 0:
        return Outcome(state, Raised("TOO_SOON", wait))
    # 3. It goes up. What lies below counts no more: neither a token nor a mint in flight.
    record = None if falls else record
    if held and held.generation <= generation:
        held = None
    newest = max(meta.generation, generation)
    meta = meta._replace(generation=newest, barrier=generation, rejected=generation, rejected_as=0, rejected_print=text)
    if not falls:
        return Outcome(State(record, held, meta), Raised("OK"))
    meta = meta._replace(rejected_at=now)
    return Outcome(State(record, held, meta), Raised("OK"), ("reject", generation))
