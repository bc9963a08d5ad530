"""Between the product's values and the model's."""

import math
from typing import assert_never

from model import values

from mintonce_server.core import ports
from mintonce_server.core.token import MIN_TTL_SHARE, Token, expiry_margin
from mintonce_server.store.record import Payload


def ms(seconds: float) -> int:
    """Downwards."""
    return math.floor(seconds * 1000)


def said(payload: Payload) -> str:
    """A payload as the model has it: all but the times, which a reader counts from its own clock."""
    fields = (payload.token_type, payload.granted, payload.audience, payload.lifetime, payload.credential_version)
    return repr((payload.key, payload.access_token.reveal(), *fields, payload.served_as, payload.reissued))


def as_token(token: Token, now: float) -> values.Token:
    """As it goes to the store at this moment of this process's clock."""
    return values.Token(
        generation=token.generation,
        version=token.credential_version,
        ttl=ms(token.remaining(now)),
        latest=ms(token.expiry_unix),
        leeway=ms(expiry_margin(token.lifetime)),
        cap=ms(MIN_TTL_SHARE * token.lifetime),
        payload=said(Payload.of(token)),
        print=token.access_token.fingerprint(),
        provisional=token.served_as,
    )


def as_record(token: Token, asked_at: float, now: int) -> values.Record:
    """`now`: the server's clock, in ms, at `asked_at`."""
    sent = as_token(token, asked_at)
    # Said twice, once counted from the question and once by the server's clock: it must be the same.
    assert abs(now + sent.ttl - token.expiry_unix * 1000) < 1000, (token.expires_at, token.expiry_unix)
    return values.Record(
        generation=sent.generation,
        expiry=round(token.expiry_unix * 1000),
        version=sent.version,
        leeway=sent.leeway,
        cap=sent.cap,
        payload=sent.payload,
        print=sent.print,
        provisional=sent.provisional,
    )


def as_acquired(answer: ports.Acquired, asked_at: float, now: int) -> values.Acquired:
    """What ACQUIRE said."""
    match answer:
        case ports.Hit(token):
            return values.Hit(as_record(token, asked_at, now))
        case ports.Lease():
            left, live = ms(answer.expires_at - asked_at), round(answer.current_left * 1000)
            return values.Granted(answer.generation, left, answer.failures, answer.rejected, answer.current, live)
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
        return values.Rejection("TOO_SOON", ms=ms(answer.retry_after))
    if answer.was_current:
        return values.Rejection("CURRENT", answer.generation)
    return values.Rejection("OTHER" if answer.known else "UNKNOWN")


def as_raised(answer: bool) -> str:
    """What BARRIER said: the store's port does not give the time to wait."""
    return "OK" if answer else "TOO_SOON"
