"""What the scripts' replies mean. Raises anything for a reply that no script gives; `Link.reading` translates it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mintonce_server.core.errors import Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Acquired, Admitted, Backoff, Failure, Hit, Lease, Refusal, Rejection, Wait, Wish
from mintonce_server.core.text import error_code
from mintonce_server.core.token import Token
from mintonce_server.store.record import Open, Row


class Unexpected(Exception):
    """The store answered what no script of this release answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """What `acquire` was asked. `asked_at` and `answered_at` are on the monotonic clock."""

    key: TokenKey
    key_hash: str
    wish: Wish
    asked_at: float
    answered_at: float


def acquired(reply: Sequence[object], question: Question, opening: Open) -> Acquired | int:
    """The answer, or the generation of a record that cannot be read."""
    match reply:
        case [b"HIT", fields] if row := Row.of(fields):
            return Hit(token) if (token := _token(row, question, opening)) else row.generation
        case [b"LEASE", *grant]:
            return _lease(grant, question)
        case [b"WAIT", int(ms)]:
            return Wait(ms / 1000)
        case [b"BACKOFF", bytes(failure), int(ms), *fields]:
            row = Row.of(fields[0]) if fields else None
            return Backoff(_failure(failure), ms / 1000, _token(row, question, opening) if row else None)
        case _:
            raise Unexpected


def committed(token: Token, reply: Sequence[object]) -> Token | Refusal:
    """The token as the store holds it, or why it does not."""
    match reply:
        case [b"OK" | b"DUP", int(expiry)]:
            return replace(token, expiry_unix=expiry / 1000)
        case [bytes(refusal)]:
            return Refusal(refusal.decode())
        case _:
            raise Unexpected


def rejection(reply: Sequence[object]) -> Rejection:
    """What became of a rejection."""
    match reply:
        case [b"CURRENT", int(rejected)]:
            return Rejection(was_current=True, generation=rejected)
        case [b"OTHER"]:
            return Rejection(was_current=False)
        case [b"UNKNOWN"]:
            return Rejection(was_current=False, known=False)
        case [b"TOO_SOON", int(ms)]:
            return Rejection(was_current=True, retry_after=ms / 1000)
        case _:
            raise Unexpected


def barrier_raised(reply: Sequence[object]) -> bool:
    """Whether the barrier counts now."""
    match reply:
        case [b"OK"]:
            return True
        case [b"TOO_SOON", int()]:
            return False
        case _:
            raise Unexpected


def entered(reply: Sequence[object], nonce: str) -> Admitted | Wait | Backoff:
    """Whether a POST to the issuer may begin."""
    match reply:
        case [b"GO", int(now), int(failures)]:
            return Admitted(nonce, now, failures)
        case [b"WAIT", int(ms)]:
            return Wait(ms / 1000)
        case [b"BACKOFF", bytes(failure), int(ms)]:
            return Backoff(_failure(failure), ms / 1000)
        case _:
            raise Unexpected


def flag(reply: object) -> bool:
    """1 or 0."""
    if not isinstance(reply, int) or reply not in (0, 1):
        raise Unexpected
    return reply == 1


def _token(row: Row, question: Question, opening: Open) -> Token | None:
    return row.token(question.key, question.key_hash, question.asked_at, opening)


def _lease(grant: Sequence[object], question: Question) -> Lease:
    match grant:
        case [int(generation), int(ms), int(failures), bytes(rejected), bytes(live), int(left), int(store_now)]:
            return Lease(
                key=question.key,
                nonce=question.wish.nonce,
                credential_version=question.wish.credential_version,
                generation=generation,
                expires_at=question.asked_at + ms / 1000,
                unix_minus_monotonic=store_now / 1000 - question.answered_at,
                failures=failures,
                rejected=rejected.decode(errors="replace"),
                current=live.decode(errors="replace"),
                current_left=left / 1000,
                proof=question.wish.proof,
            )
        case _:
            raise Unexpected


def _failure(text: bytes) -> Failure:
    reason, _, issuer_error = text.decode(errors="replace").partition(" ")
    # A newer release may know more reasons; to us the issuer is in trouble then.
    known = reason in Reason.__members__
    return Failure(Reason(reason) if known else Reason.ISSUER_UNAVAILABLE, error_code(issuer_error))
