"""Between the product's values and the model's."""

import math
from typing import assert_never

from model import values

from mintonce_server.core import ports
from mintonce_server.core.token import MIN_REMAINING_SHARE, Token, leeway
from mintonce_server.store.record import encode


def ms(seconds: float) -> int:
    """Downwards."""
    return math.floor(seconds * 1000)


def as_token(token: Token, now: float) -> values.Token:
    """As it goes to the store at this moment of this process's clock."""
    return values.Token(
        generation=token.generation,
        version=token.credential_version,
        ttl=ms(token.remaining(now)),
        refresh=ms(token.refresh_at - now),
        lifetime=ms(token.lifetime),
        leeway=ms(leeway(token.lifetime)),
        cap=ms(MIN_REMAINING_SHARE * token.lifetime),
        payload=encode(token),
        print=token.access_token.fingerprint(),
        latest=ms(token.expiry_unix) if token.by_store else 0,
    )


def as_record(token: Token, asked_at: float, now: int) -> values.Record:
    """`now`: the server's clock, in ms, at `asked_at`."""
    sent = as_token(token, asked_at)
    # Said twice, once counted from the question and once by the server's clock: it must be the same.
    assert abs(now + sent.ttl - token.expiry_unix * 1000) < 1000, (token.expires_at, token.expiry_unix)
    return values.Record(
        generation=sent.generation,
        expiry=round(token.expiry_unix * 1000),
        refresh=round(token.expiry_unix * 1000) + ms(token.refresh_at - token.expires_at),
        version=sent.version,
        lifetime=sent.lifetime,
        leeway=sent.leeway,
        cap=sent.cap,
        payload=sent.payload,
        print=sent.print,
    )


def as_acquired(answer: ports.Acquired, asked_at: float, now: int) -> values.Acquired:
    """What ACQUIRE said."""
    match answer:
        case ports.Hit(token):
            return values.Hit(as_record(token, asked_at, now))
        case ports.Lease():
            left = ms(answer.expires_at - asked_at)
            return values.Granted(answer.generation, left, answer.failures, answer.rejected)
        case ports.Wait(seconds):
            return values.Wait(ms(seconds))
        case ports.Backoff(failure, seconds, token):
            record = as_record(token, asked_at, now) if token else None
            return values.Backoff(f"{failure.reason} {failure.issuer_error}", ms(seconds), record)
        case _:
            assert_never(answer)


def as_committed(answer: Token | ports.Refusal) -> values.Committed | values.Refused:
    """What COMMIT said."""
    if isinstance(answer, Token):
        return values.Committed("OK", round(answer.expiry_unix * 1000))
    return values.Refused(answer.value)


def as_rejection(answer: ports.Rejection) -> values.Rejection:
    """What REJECT said."""
    if answer.retry_after is not None:
        assert answer.was_current
        return values.Rejection("TOO_SOON", ms(answer.retry_after))
    return values.Rejection("CURRENT" if answer.was_current else "OTHER")
