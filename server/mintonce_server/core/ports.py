"""What the engine needs from outside: a store, an issuer, a clock (common/clock.py)."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from mintonce_server.core.budget import Month, Usage
from mintonce_server.core.errors import Reason, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Minted, Token


class Issuer(Protocol):
    """An OAuth domain's token endpoint, as one registered client talks to it."""

    async def mint(self, key: TokenKey) -> Minted:
        """One POST, within the issuer's total deadline. Raises IssuerError."""
        ...

    def proof(self) -> str:
        """What tells the credential that the next `mint` shows from another one. Secret as the credential is."""
        ...


@dataclass(frozen=True, slots=True)
class AcquireRequest:
    """What a caller of `acquire` accepts.

    Attributes:
        nonce: names this try. The same nonce finds its own lease again, so a lost reply costs nothing.
        credential_version: records and negative records of an older one count as absent.
        newer_than: only a token of a higher generation will do. 0: any.
        min_ttl: seconds that should be left, see `token.wanted`.
        adopt: the lease is wanted for a token that was minted without the store. Back-offs do not matter then.
        proof: of the issuer's `proof`: a refusal of another credential does not matter. "": none is known.
    """

    nonce: str
    credential_version: int
    newer_than: int = 0
    min_ttl: float = 0.0
    adopt: bool = False
    proof: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """A mint that failed, as the fleet shares it: a negative record. No text of the issuer's but its error code.

    Attributes:
        while_live: it counts only while a live token is stored, because that token is the cause.
        of_proof: it counts only for the credential that was refused.
        of_issuer: it is the issuer's trouble, so it does not count among the key's failures in a row.
        of_client: the client's own authentication was refused; see IssuerError.
    """

    reason: Reason
    issuer_error: str = ""
    while_live: bool = False
    of_proof: bool = False
    of_issuer: bool = False
    of_client: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A valid token is already stored."""

    token: Token


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to mint once, until `expires_at` on the monotonic clock unless renewed.

    Attributes:
        failures: mints of this key that failed in a row, fleet-wide.
        unix_minus_monotonic: the store's clock minus this process's, at most: it gives the end of a token by the
            store's clock, never too late.
        rejected: fingerprint of the token that was rejected last, or "".
        current: fingerprint of the live token in the store, or "".
        current_left: seconds that it has left, 0 without one.
        proof: of the request.
    """

    key: TokenKey
    nonce: str
    credential_version: int
    generation: int
    expires_at: float
    unix_minus_monotonic: float
    failures: int = 0
    rejected: str = ""
    current: str = ""
    current_left: float = 0.0
    proof: str = field(default="", repr=False)

    def token(self, minted: Minted, key_hash: str) -> Token:
        """The token that this lease's mint gave."""
        return Token.of(
            minted,
            self.key,
            key_hash,
            self.generation,
            self.credential_version,
            self.unix_minus_monotonic,
            reissued=minted.access_token.fingerprint() == self.rejected,
        )


@dataclass(frozen=True, slots=True)
class Wait:
    """Another replica is minting. Its lease ends in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """The issuer failed lately. `token`: a live token that is stored all the same, though not as good as requested."""

    failure: Failure
    seconds: float
    token: Token | None = None


Acquired = Hit | Lease | Wait | Backoff


@dataclass(frozen=True, slots=True)
class Admitted:
    """A POST to the issuer may begin.

    Attributes:
        nonce: of the question.
        began: when it was asked, in ms by the clock that answered. 0: it could not be asked.
        failures: of the issuer since its last success.
    """

    nonce: str
    began: int
    failures: int


class Refusal(StrEnum):
    """Why a commit did not count."""

    STALE = "STALE"
    REJECTED = "REJECTED"
    OLD_CREDENTIALS = "OLD_CREDENTIALS"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Rejection:
    """The store's answer to a reject.

    Attributes:
        was_current: the generation was the current one, or is a repetition of the last rejection.
        generation: the store's number of the token that was rejected; 0 when `was_current` is False.
        retry_after: seconds; set when the rejection was refused because the last one is too fresh.
        known: False for a generation above all that the store has given out. Nothing was changed.
    """

    was_current: bool
    generation: int = 0
    retry_after: float | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """Some live tokens. `truncated`: there may be more, beyond the limit or in a part of the store that is away."""

    tokens: list[Token]
    truncated: bool


class WakeKind(StrEnum):
    """What happened to a key. GAP: messages may have been lost, so anything may have happened to any key."""

    COMMIT = "commit"
    REJECT = "reject"
    FAIL = "fail"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Wake:
    """A hint, never more: ask the store for the truth. For GAP, `key_hash` is "" and `generation` 0."""

    kind: WakeKind
    key_hash: str
    generation: int


class IssuerGate(Protocol):
    """What the keys of a client share: rate limits and outages of its issuer. Every method raises StoreUnavailable."""

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        """Whether a POST may begin. The same nonce gets the same answer, so a lost reply costs nothing.

        `issuer`: the account there, see OAuthClient. What stands before a dash in the nonce names the key.
        """
        ...

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        """What came of an admitted POST. `failure`: trouble that may be the issuer's; None: it answers.

        True: it may be the issuer's. If another key has it too, all keys wait for `pause` seconds.
        """
        ...


class TokenStore(IssuerGate, Protocol):
    """Where the fleet's tokens and leases live. Every method raises StoreUnavailable, within the store's own deadline.

    Each is idempotent: repeated after a lost reply, it gives the same answer.
    """

    def key_hash(self, key: TokenKey) -> str:
        """The key's name in the store, on the wake channel and in logs."""
        ...

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        """HIT, WAIT, BACKOFF, or the LEASE."""
        ...

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        """Store what was minted, if its generation is newest and not rejected, and wake the fleet. Ends the lease."""
        ...

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        """Record that the mint failed, so that no replica tries again for `retry_after` seconds. Ends the lease."""
        ...

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease with its new end, or None if it is no longer ours."""
        ...

    async def reject(self, key: TokenKey, generation: int, min_interval: float, fingerprint: str = "") -> Rejection:
        """If the generation is current: drop it, bar it and what was begun before it, and wake the fleet.

        So too if it was given out last: the replica that has its token could not commit it yet.
        `fingerprint`: of that token, where it is known; the store knows those that it has.
        """
        ...

    async def raise_barrier(self, key: TokenKey, generation: int, fingerprint: str, min_interval: float) -> bool:
        """Record a rejection that the store lost. False: refused, the last rejection is too fresh.

        A record of this generation or an older one falls. `fingerprint`: of the rejected token, or "".
        """
        ...

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        """The generation of each key's current token, 0 for none, in the order of the keys, in one round trip.

        A key whose part of the store is away gets the error. Raises only when no part answered.
        """
        ...

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """The current live tokens, as `generations`. None, too, for what cannot be read."""
        ...

    async def restore(self, token: Token) -> Token | Refusal:
        """Store a live token that the store lost, or never got. As `commit`, but it ends no back-off."""
        ...

    async def list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens, of one client or ("") of all, out of those that are wanted."""
        ...

    def wakes(self) -> AsyncIterator[Wake]:
        """The fleet's wake messages as they come. Reconnects by itself, for ever; each connection begins with a GAP.

        Only one consumer a store.
        """
        ...

    async def ping(self) -> None:
        """Whether the store answers."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Counts that one replica adds to one client's month.

    Attributes:
        replica: names the process; another one after each start.
        number: above that of each earlier batch of this replica for this client. The same number counts once.
        counts: by field, see `Usage`: `served`, `mint:CAUSE`, `failed:REASON`. All above 0.
    """

    replica: str
    number: int
    month: Month
    counts: Mapping[str, int]

    @property
    def minted(self) -> int:
        """Tokens."""
        return sum(count for name, count in self.counts.items() if name.startswith(MINT))


MINT: Final = "mint:"
FAILED: Final = "failed:"
SERVED: Final = "served"


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """A process of the fleet that runs, or ended less than a minute ago.

    Attributes:
        started: seconds since 1970, by its own clock.
        address: where it listens.
    """

    id: str
    version: str
    started: float
    address: str


class UsageStore(Protocol):
    """Where the fleet counts what it uses. Every method raises StoreUnavailable, and is idempotent as TokenStore's."""

    async def count(self, client: str, batch: Batch) -> tuple[bool, float]:
        """Add a batch, if it was not added before. Whether it is in; and the store's time, in seconds since 1970.

        False: it is another month by that clock, and nothing was added.
        """
        ...

    async def forget(self, client: str, month: Month, replica: str) -> None:
        """This replica counts no more in this month."""
        ...

    async def usage(self, months: Sequence[tuple[str, Month]]) -> list[Usage | StoreUnavailable]:
        """The counts of clients and months, in this order, in one round trip."""
        ...

    async def beat(self, replica: ReplicaInfo) -> None:
        """Say that a replica runs."""
        ...

    async def replicas(self) -> list[ReplicaInfo]:
        """The replicas that run, in the order of their ids. In a Cluster some may be missing while a part is away."""
        ...
