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
    Record,
    Refused,
    Rejection,
    State,
    Token,
    Wait,
)


def acquire(
    state: State, now: int, *, nonce: str, lease: int, version: int, newer_than: int, min_remaining: int
) -> Outcome[Acquired]:
    """May this try have the token, wait for it, or mint it?"""
    record, held, meta = state = state.at(now)
    # A record counts if it is not barred and not of older credentials than the asker's.
    row = record if record and record.generation > meta.barrier and record.version >= version else None
    # 1. HIT: a live token, new enough, with enough left.
    if row and row.generation > newer_than and row.expiry - now > max(row.leeway, min(min_remaining, row.cap)):
        return Outcome(state, Hit(row))
    # 2. The lease is ours: the reply was lost.
    if held and held.nonce == nonce:
        return Outcome(state, Granted(held.generation, held.lapses - now, meta.failures, meta.rejected_print))
    # 3. It is another's.
    if held:
        return Outcome(state, Wait(held.lapses - now))
    # 4. The issuer said no lately, to these credentials or newer ones.
    if meta.until > now and meta.until_version >= version:
        return Outcome(state, Backoff(meta.failure, meta.until - now, row))
    # 5. Our turn. The clock and what the asker has seen make generations rise even after the store lost its data.
    newest = max(meta.generation, meta.barrier, record.generation if record else 0, newer_than)
    generation = max(newest + 1, now)
    failures = 0 if version > meta.version else meta.failures
    meta = meta._replace(generation=generation, version=max(version, meta.version), failures=failures)
    granted = Granted(generation, lease, failures, meta.rejected_print)
    return Outcome(State(record, Lease(nonce, generation, now + lease), meta), granted)


def commit(state: State, now: int, token: Token, *, restored: bool = False) -> Outcome[Committed | Refused]:
    """Make a token current. `restored`: it was minted before, and the store lost it or never got it."""
    record, held, meta = state.at(now)
    # Its own lease ends, whatever comes out: kept on a refusal, it would make all wait for nobody.
    if held and held.generation == token.generation:
        held = None
    state = State(record, held, meta)
    # 1. It is there: the reply was lost.
    if record and record.generation == token.generation:
        return Outcome(state, Committed("DUP", record.expiry))
    # 2. Its life is over.
    if token.ttl <= _late(token, now):
        return Outcome(state, Refused("DEAD"))
    # 3. Somebody has tried newer credentials: who has those takes no older token.
    if token.version < meta.version:
        return Outcome(state, Refused("OLD_CREDENTIALS"))
    # 4. It was rejected, or its mint had begun before a rejection.
    if token.generation <= meta.barrier:
        return Outcome(state, Refused("REJECTED"))
    # 5. There is a newer one.
    if record and token.generation < record.generation:
        return Outcome(state, Refused("STALE"))
    # 6. It counts.
    meta = meta._replace(generation=max(meta.generation, token.generation), version=max(meta.version, token.version))
    # Only a new token says that the issuer is well again.
    if not restored:
        meta = meta._replace(failures=0, until=0, failure="", until_version=0)
    record = _recorded(token, now)
    return Outcome(State(record, held, meta), Committed("OK", record.expiry), ("commit", token.generation))


def restore(state: State, now: int, token: Token) -> Outcome[Committed | Refused]:
    """Give back a token that the store lost."""
    return commit(state, now, token, restored=True)


def fail(
    state: State, now: int, *, nonce: str, generation: int, retry: int, failure: str, version: int
) -> Outcome[bool]:
    """The mint of this lease failed. Only its holder may say so, and only once: the lease is gone then."""
    record, held, meta = state = state.at(now)
    # 1. It is not ours, or no longer.
    if not held or held.nonce != nonce or held.generation != generation:
        return Outcome(state, False)
    # 2. Nobody tries again for `retry` ms with these credentials.
    meta = meta._replace(until=now + retry, failure=failure, until_version=version, failures=meta.failures + 1)
    return Outcome(State(record, None, meta), True, ("fail", generation))


def renew(state: State, now: int, *, nonce: str, generation: int, lease: int) -> Outcome[bool]:
    """Hold a lease longer."""
    record, held, meta = state = state.at(now)
    # 1. It is not ours, or no longer.
    if not held or held.nonce != nonce or held.generation != generation:
        return Outcome(state, False)
    # 2. It is.
    return Outcome(State(record, held._replace(lapses=now + lease), meta), True)


def reject(state: State, now: int, *, generation: int, min_interval: int) -> Outcome[Rejection]:
    """A resource server refused this generation: drop it, and bar it and all whose mints were begun before."""
    record, _, meta = state = state.at(now)
    # 1. It is not the current one. Said again, it gets the same answer as before, without effect.
    if not record or record.generation != generation:
        return Outcome(state, Rejection("CURRENT" if meta.rejected == generation else "OTHER"))
    # 2. The last rejection is too fresh: a caller in a loop must not burn tokens.
    wait = meta.rejected_at + min_interval - now
    if wait > 0:
        return Outcome(state, Rejection("TOO_SOON", wait))
    # 3. The barrier covers mints in flight too, and ends their lease.
    barrier = max(meta.generation, meta.barrier, generation)
    meta = meta._replace(barrier=barrier, rejected=generation, rejected_print=record.print, rejected_at=now)
    return Outcome(State(None, None, meta), Rejection("CURRENT"), ("reject", generation))


def _late(token: Token, now: int) -> int:
    """How long the act lay somewhere on its way, while the token aged."""
    return max(0, now + token.ttl - token.latest) if token.latest else 0


def _recorded(token: Token, now: int) -> Record:
    return Record(
        generation=token.generation,
        expiry=now + token.ttl - _late(token, now),
        refresh=now + token.refresh - _late(token, now),
        version=token.version,
        lifetime=token.lifetime,
        leeway=token.leeway,
        cap=token.cap,
        payload=token.payload,
        print=token.print,
    )
