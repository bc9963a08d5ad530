"""What a run wrote down: POSTs, calls, the replicas' steps, faults. Times are unix seconds of this host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Op = Literal["get", "watch", "reject", "rotate"]


@dataclass(frozen=True, slots=True)
class Post:
    """A line of the issuer's own log.

    `jti` names the token, "" if none was minted. `repeats`: the token that the issuer handed out once more instead.
    """

    time: float
    audience: str
    status: int
    jti: str
    repeats: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A finished RPC; a watch gives one for each token received.

    Attributes:
        deadline: seconds allowed; 0 for none (a watch).
        status: "OK" or the name of a gRPC code.
        reason: of the ErrorInfo that the server sent, "" if none came.
        retry_after: seconds, of the RetryInfo.
        aud, jti, expires_at: what the token itself says; the last by the issuer's clock.
        was_current: a reject's answer.
        caller: the identity that the caller proved, "" for none.
        granted: the scopes that the token itself names.
    """

    op: Op
    replica: str
    audience: str
    began: float
    ended: float
    deadline: float
    status: str
    reason: str = ""
    retry_after: float | None = None
    generation: int = 0
    jti: str = ""
    aud: str = ""
    expires_at: float = 0.0
    degraded: bool = False
    origin: str = ""
    was_current: bool | None = None
    caller: str = ""
    granted: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.status == "OK"

    @property
    def brings_token(self) -> bool:
        return self.ok and self.op in ("get", "watch")


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a replica's log.

    Attributes:
        lifetime: of a minted token, in seconds.
        detail: which refusal; why a mint began.
        provisional: the generation under which a token was served until it got this one; 0 for none.
    """

    time: float
    replica: str
    event: str
    key_hash: str
    generation: int
    audience: str = ""
    retry_after: float | None = None
    lifetime: float | None = None
    detail: str = ""
    provisional: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a replica or a store server (`target`; "" for all), from when until it was healed (inf: never).

    A crash or a stall of what is not a replica puts the store out of reach.

    Attributes:
        kind: the class in the report.
        lossy: committed writes of the store were lost.
        crash: the target was killed, or ended in any other way that forgets what it had in memory.
        stall: the target was stopped and went on later.
        outage: the store was out of reach, of one replica if `target` is one.
        new_secret: the client got new credentials; the back-off of the old ones is over.
    """

    kind: str
    began: float
    ended: float
    target: str = ""
    lossy: bool = False
    crash: bool = False
    stall: bool = False
    outage: bool = False
    new_secret: bool = False

    def overlaps(self, began: float, ended: float) -> bool:
        return self.began <= ended and began <= self.ended

    def concerns(self, replica: str) -> bool:
        return self.target in ("", replica)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the run allowed, in seconds.

    Attributes:
        lease: TTL of a lease.
        revalidate: what memory serves was confirmed by the store at most so long ago.
        min_rotation: between two forced mints of a key.
        failover: from the end of a fault until the store answers all again.
        wake: a waiter's own timer.
        slack: what a busy machine may add.
        clock: between two clocks or logs of this host, for events in a strict order.
        expiry: a JWT's `exp` is in whole seconds; it may be so much earlier than what `expires_in` said.
        mint: a POST is given up after so long.
        early: share of a token's life after which a successor is expected (half of it with min_ttl).
    """

    lease: float = 3.0
    revalidate: float = 5.0
    min_rotation: float = 30.0
    failover: float = 5.0
    wake: float = 0.25
    slack: float = 0.5
    clock: float = 0.05
    expiry: float = 1.0
    mint: float = 10.0
    early: float = 0.5


@dataclass(frozen=True, slots=True)
class Count:
    """Something counted before and after a run: descriptors or tasks of a replica, keys in the store."""

    what: str
    before: int
    after: int
    allowed: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """A process that ended though the run did not end it. `how`: its exit code, or what is known of it."""

    time: float
    replica: str
    how: str


@dataclass(frozen=True, slots=True)
class Right:
    """What the policy gives a caller: tokens for this audience with no other scopes than these."""

    caller: str
    audience: str
    scopes: frozenset[str] = frozenset()


@dataclass
class History:
    """A run.

    Attributes:
        keys_without_ttl, counts: the rig's own findings (H11).
        ends: processes that ended by themselves (H15).
        rights: all that the policy gives (H17); None: the run had no policy.
        names: audiences by key hash.
    """

    posts: list[Post] = field(default_factory=list[Post])
    calls: list[Call] = field(default_factory=list[Call])
    steps: list[Step] = field(default_factory=list[Step])
    faults: list[Fault] = field(default_factory=list[Fault])
    bounds: Bounds = Bounds()
    replicas: Sequence[str] = ()
    keys_without_ttl: list[str] = field(default_factory=list[str])
    counts: list[Count] = field(default_factory=list[Count])
    ends: list[End] = field(default_factory=list[End])
    rights: Sequence[Right] | None = None
    names: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which (H1 to H17), and a sentence that says where to look."""

    rule: str
    detail: str
