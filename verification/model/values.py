"""What the model of the scripts speaks of: a key's state in the store, and the answers. Times are in ms."""

from typing import Generic, Literal, NamedTuple, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Record(NamedTuple):
    """`mintonce:{h}:t`: the current token."""

    generation: int
    expiry: int
    version: int
    """Of the credentials that it was minted with."""
    leeway: int
    cap: int
    """A wish for more life than this is read as this."""
    payload: str
    print: str
    """Tells whether two tokens are the same text."""
    provisional: int = 0
    """The number under which a replica served it before the store gave it one; 0 for none."""


class Lease(NamedTuple):
    """`mintonce:{h}:l`: the right to mint."""

    nonce: str
    generation: int
    lapses: int


class Meta(NamedTuple):
    """`mintonce:{h}:m`: what outlives token and lease. A missing field counts as 0 or ""."""

    generation: int = 0
    """The highest ever leased or committed."""
    barrier: int = 0
    """Nothing up to this generation may become current."""
    version: int = 0
    """The newest credentials that anybody tried to mint with."""
    failures: int = 0
    until: int = 0
    """When the back-off ends; it holds for credentials up to `until_version`."""
    failure: str = ""
    until_version: int = 0
    while_live: bool = False
    """The back-off counts only while there is a live token, because that token is its cause."""
    rejected: int = 0
    rejected_as: int = 0
    """The provisional number of what was rejected."""
    rejected_print: str = ""
    rejected_at: int = 0


class State(NamedTuple):
    """All that the store knows of one key."""

    record: Record | None = None
    lease: Lease | None = None
    meta: Meta = Meta()

    def at(self, now: int) -> "State":
        """Without what has run out by then: Redis does not show it any more."""
        record = self.record if self.record and self.record.expiry > now else None
        lease = self.lease if self.lease and self.lease.lapses > now else None
        return State(record, lease, self.meta)


class Token(NamedTuple):
    """What a COMMIT brings: where it stands in the key's history, how long it lives, what it says.

    `latest`: when its life ends by the store's clock, at the latest. The act may come late.
    """

    generation: int
    version: int
    ttl: int
    latest: int
    leeway: int
    cap: int
    payload: str
    print: str
    provisional: int = 0


class Hit(NamedTuple):
    """Take this one."""

    record: Record


class Granted(NamedTuple):
    """The lease is yours. `live_print`, `live_left`: of the token that is live all the same; "" and 0 for none."""

    generation: int
    ms: int
    failures: int
    rejected_print: str
    live_print: str
    live_left: int


class Wait(NamedTuple):
    """Another replica holds it, for so long."""

    ms: int


class Backoff(NamedTuple):
    """The issuer said no lately. `record` is live all the same."""

    failure: str
    ms: int
    record: Record | None


class Committed(NamedTuple):
    """It is current: now (OK), or it was already (DUP)."""

    word: Literal["OK", "DUP"]
    expiry: int


class Refused(NamedTuple):
    """It does not count."""

    word: Literal["STALE", "REJECTED", "OLD_CREDENTIALS", "DEAD"]


class Rejection(NamedTuple):
    """Whether it was current: then `generation` is the store's number of it. `ms`: how long to wait, for TOO_SOON.

    UNKNOWN: above every generation that was ever given out here.
    """

    word: Literal["CURRENT", "OTHER", "TOO_SOON", "UNKNOWN"]
    generation: int = 0
    ms: int = 0


class Raised(NamedTuple):
    """Whether the barrier is where it should be. `ms`: how long to wait, for TOO_SOON."""

    word: Literal["OK", "TOO_SOON"]
    ms: int = 0


Acquired = Hit | Granted | Wait | Backoff


class Outcome(NamedTuple, Generic[T_co]):
    """What an act leaves behind, what it answers, and what it tells the fleet: (kind, generation)."""

    state: State
    reply: T_co
    wake: tuple[str, int] | None = None
