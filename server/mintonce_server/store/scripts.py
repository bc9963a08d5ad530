"""The atomic operations. Each method's signature is its script's contract; functions at the end read the replies."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Final, cast

from redis.exceptions import NoScriptError, ResponseError

from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.errors import Reason
from mintonce_server.core.issuer_state import ALONE_MS, FIRST_MS, FRESH_MS, MOST_KEYS, OWN_MS, PAUSE_MAX_MS
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import (
    Acquired,
    AcquireRequest,
    Admitted,
    Backoff,
    Failure,
    Hit,
    Lease,
    Refusal,
    Rejection,
    Wait,
    WakeKind,
)
from mintonce_server.core.text import error_code
from mintonce_server.core.token import MAX_LIFETIME, Token
from mintonce_server.store.names import Names
from mintonce_server.store.notifications import Notifications
from mintonce_server.store.record import Open, Row
from mintonce_server.store.script_errors import unwrapped
from mintonce_server.store.topology.servers import Commands

META_MS: Final = int((MAX_LIFETIME + 86_400.0) * 1000)
"""TTL of a barrier whose token is not known: longer than the longest token."""
BRIEF_MS: Final = 3_600_000
"""How long a key is remembered without a token, or after its last one. Keys must not fill the store."""

BACK_OFF_MS: Final = int(LONGEST_ASKED * 1000)
_OF_CLIENT: Final = "of_client"


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua file and the name under which the server caches it."""

    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> "Script":
        """From the package's data."""
        text = resources.files("mintonce_server.store").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


ACQUIRE: Final = Script.load("acquire")
COMMIT: Final = Script.load("commit")
FAIL: Final = Script.load("fail")
RENEW: Final = Script.load("renew")
REJECT: Final = Script.load("reject")
BARRIER: Final = Script.load("barrier")
RESEAL: Final = Script.load("reseal")
ENTER: Final = Script.load("enter")
LEARN: Final = Script.load("learn")
COUNT: Final = Script.load("count")
BEAT: Final = Script.load("beat")


class Scripts:
    """Calls the scripts on a client. Numbers are whole milliseconds unless their name says otherwise."""

    def __init__(
        self,
        client: Commands,
        notifications: Notifications,
        names: Names,
        *,
        meta_ms: int = META_MS,
        brief_ms: int = BRIEF_MS,
    ) -> None:
        self._client = client
        self._names, self._channel = names, names.wake_channel
        self._message = notifications.encode
        self._meta, self._brief = meta_ms, brief_ms

    async def acquire(
        self,
        key_hash: str,
        *,
        nonce: str,
        lease: int,
        credential_version: int,
        newer_than: int,
        min_ttl: int,
        adopt: bool,
        proof: str,
    ) -> Sequence[object]:
        """[HIT, row] | [LEASE, …] | [WAIT, ms] | [BACKOFF, failure, ms, row?]; see acquire.lua."""
        values = (
            nonce,
            lease,
            credential_version,
            newer_than,
            min_ttl,
            self._brief,
            int(adopt),
            BACK_OFF_MS,
            proof,
        )
        return cast(list[object], await self._call(ACQUIRE, key_hash, *values))

    async def commit(
        self,
        key_hash: str,
        *,
        generation: int,
        ttl: int,
        latest: int,
        credential_version: int,
        expiry_margin: int,
        cap: int,
        payload: bytes,
        fingerprint: str,
        provisional: int,
        restored: bool,
    ) -> Sequence[object]:
        """[OK | DUP, expiry] | [STALE | REJECTED | OLD_CREDENTIALS | DEAD]. `cap`: limits min_ttl.

        `latest`: the latest expiry by the store's clock. `provisional`: the number that `generation` replaces, or 0.
        """
        message = self._message(WakeKind.COMMIT, key_hash, generation)
        sizes = (generation, ttl, latest, credential_version, expiry_margin, cap)
        values = (
            *sizes,
            payload,
            fingerprint,
            provisional,
            int(restored),
            self._brief,
            self._channel,
            message,
        )
        return cast(list[object], await self._call(COMMIT, key_hash, *values))

    async def fail(
        self,
        key_hash: str,
        *,
        nonce: str,
        generation: int,
        retry: int,
        failure: str,
        credential_version: int,
        while_live: bool,
        own: bool,
        proof: str,
    ) -> object:
        """1 if it was recorded, else 0."""
        message = self._message(WakeKind.FAIL, key_hash, generation)
        values = (nonce, generation, retry, failure, credential_version)
        more = (self._brief, self._channel, message, int(while_live), proof, int(own))
        return await self._call(FAIL, key_hash, *values, *more)

    async def renew(self, key_hash: str, *, nonce: str, generation: int, lease: int) -> object:
        """1 if the lease is still ours, else 0."""
        return await self._call(RENEW, key_hash, nonce, generation, lease)

    async def reject(
        self, key_hash: str, *, generation: int, min_interval: int, fingerprint: str = ""
    ) -> Sequence[object]:
        """[CURRENT, generation] | [OTHER] | [TOO_SOON, ms] | [UNKNOWN]."""
        message = self._message(WakeKind.REJECT, key_hash, generation)
        values = (generation, min_interval, self._brief, self._channel, message, fingerprint)
        return cast(list[object], await self._call(REJECT, key_hash, *values))

    async def barrier(self, key_hash: str, *, generation: int, fingerprint: str, min_interval: int) -> Sequence[object]:
        """[OK] | [TOO_SOON, ms]."""
        message = self._message(WakeKind.REJECT, key_hash, generation)
        values = (generation, fingerprint, min_interval, self._meta, self._channel, message)
        return cast(list[object], await self._call(BARRIER, key_hash, *values))

    async def reseal(self, key_hash: str, *, generation: int, before: bytes, after: bytes) -> object:
        """1 if it was changed, else 0."""
        return await self._call(RESEAL, key_hash, generation, before, after)

    async def enter(self, issuer_hash: str, *, nonce: str) -> Sequence[object]:
        """[GO, now, failures] | [WAIT, ms] | [BACKOFF, failure, ms]."""
        values = (nonce, FRESH_MS, ALONE_MS, PAUSE_MAX_MS, self._brief, FIRST_MS)
        return cast(list[object], await self._run(ENTER, (self._names.issuer(issuer_hash),), values))

    async def learn(self, issuer_hash: str, *, nonce: str, began: int, failure: str, pause: int) -> object:
        """1 if the issuer is the cause, else 0."""
        values = (nonce, began, failure, pause, self._brief, OWN_MS, MOST_KEYS)
        return await self._run(LEARN, (self._names.issuer(issuer_hash),), values)

    async def count(
        self,
        month_key: str,
        *,
        replica: str,
        number: int,
        ttl: int,
        starts: int = 0,
        ends: int = 0,
        minted: int = 0,
        counts: Mapping[str, int],
    ) -> Sequence[object]:
        """[OK | OTHER, now]. `number` 0: only forget the replica."""
        fields = [word for name, count in counts.items() for word in (name, count)]
        values = (replica, number, ttl, starts, ends, minted, *fields)
        return cast(list[object], await self._run(COUNT, (month_key,), values))

    async def beat(self, replica: str, *, ttl: int, fields: Mapping[str, str]) -> object:
        """1."""
        values = [word for pair in fields.items() for word in pair]
        return await self._run(BEAT, (self._names.replica(replica),), (ttl, *values))

    async def _call(self, script: Script, key_hash: str, *values: str | int | bytes) -> object:
        return await self._run(script, self._names.keys(key_hash), values)

    async def _run(self, script: Script, keys: Sequence[str], values: Sequence[str | int | bytes]) -> object:
        try:
            try:
                return await self._client.evalsha(script.sha, len(keys), *keys, *values)
            except NoScriptError:
                # A new, emptied or failed-over server does not have it: EVAL runs and caches it in one round trip.
                return await self._client.eval(script.text, len(keys), *keys, *values)
        except ResponseError as error:
            answer = unwrapped(error)
            if answer is error:
                raise
            raise answer from error


class UnexpectedReply(Exception):
    """A reply that no script of this release gives."""


@dataclass(frozen=True, slots=True)
class Question:
    """The context of an `acquire`. `asked_at` and `answered_at` are on the monotonic clock."""

    key: TokenKey
    key_hash: str
    request: AcquireRequest
    asked_at: float
    answered_at: float


def read_acquire(reply: Sequence[object], question: Question, opening: Open) -> Acquired | int:
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
            raise UnexpectedReply


def read_commit(token: Token, reply: Sequence[object]) -> Token | Refusal:
    """The token as the store holds it, or why it was refused."""
    match reply:
        case [b"OK" | b"DUP", int(expiry)]:
            return replace(token, expiry_unix=expiry / 1000)
        case [bytes(refusal)]:
            return Refusal(refusal.decode())
        case _:
            raise UnexpectedReply


def read_reject(reply: Sequence[object]) -> Rejection:
    """The outcome of a rejection."""
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
            raise UnexpectedReply


def read_barrier(reply: Sequence[object]) -> bool:
    """Whether the barrier is in place."""
    match reply:
        case [b"OK"]:
            return True
        case [b"TOO_SOON", int()]:
            return False
        case _:
            raise UnexpectedReply


def read_enter(reply: Sequence[object], nonce: str) -> Admitted | Wait | Backoff:
    """Whether a POST to the issuer may begin."""
    match reply:
        case [b"GO", int(now), int(failures)]:
            return Admitted(nonce, now, failures)
        case [b"WAIT", int(ms)]:
            return Wait(ms / 1000)
        case [b"BACKOFF", bytes(failure), int(ms)]:
            return Backoff(_failure(failure), ms / 1000)
        case _:
            raise UnexpectedReply


def read_count(reply: Sequence[object]) -> tuple[bool, float]:
    """Whether the batch is in, and the store's time in seconds."""
    match reply:
        case [b"OK", int(now)]:
            return True, now / 1000
        case [b"OTHER", int(now)]:
            return False, now / 1000
        case _:
            raise UnexpectedReply


def read_flag(reply: object) -> bool:
    """True for 1, False for 0."""
    if not isinstance(reply, int) or reply not in (0, 1):
        raise UnexpectedReply
    return reply == 1


def _token(row: Row, question: Question, opening: Open) -> Token | None:
    return row.token(question.key, question.key_hash, question.asked_at, opening)


def _lease(grant: Sequence[object], question: Question) -> Lease:
    match grant:
        case [int(generation), int(ms), int(failures), bytes(rejected), bytes(live), int(left), int(store_now)]:
            return Lease(
                key=question.key,
                nonce=question.request.nonce,
                credential_version=question.request.credential_version,
                generation=generation,
                expires_at=question.asked_at + ms / 1000,
                unix_minus_monotonic=store_now / 1000 - question.answered_at,
                failures=failures,
                rejected=rejected.decode(errors="replace"),
                current=live.decode(errors="replace"),
                current_left=left / 1000,
                proof=question.request.proof,
            )
        case _:
            raise UnexpectedReply


def failure_text(failure: Failure) -> str:
    """The form in which the scripts store it: reason, error code, and a third word if the client was refused."""
    return f"{failure.reason} {failure.issuer_error}" + (f" {_OF_CLIENT}" if failure.of_client else "")


def _failure(text: bytes) -> Failure:
    reason, *words = text.decode(errors="replace").split(" ")
    # A newer release may have more reasons; this release treats them as an unavailable issuer.
    known = reason in Reason.__members__
    of_client = words[1:] == [_OF_CLIENT]
    issuer_error = words[0] if of_client else " ".join(words)
    return Failure(
        Reason(reason) if known else Reason.ISSUER_UNAVAILABLE, error_code(issuer_error), of_client=of_client
    )
