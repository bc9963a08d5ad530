"""What a run wrote down: POSTs, calls, the replicas' steps, faults. Times are unix seconds of this host."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Op = Literal["get", "watch", "reject", "rotate"]

OUTCOMES: Final = ("committed", "commit_refused", "mint_failed")
"""How a mint ends in a replica's log. One that ends otherwise was cut short by a crash, or by a store out of reach."""


@dataclass(frozen=True, slots=True)
class Post:
    """A line of the issuer's own log. `jti` names the token, "" if none was minted."""

    time: float
    audience: str
    status: int
    jti: str


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

    @property
    def ok(self) -> bool:
        return self.status == "OK"

    @property
    def brings_token(self) -> bool:
        return self.ok and self.op in ("get", "watch")


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a replica's log. `lifetime`: of a minted token, in seconds. `detail`: of a refusal, which one."""

    time: float
    replica: str
    event: str
    key_hash: str
    generation: int
    audience: str = ""
    retry_after: float | None = None
    lifetime: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a replica or a store server (`target`; "" for all), from when until it was healed (inf: never).

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
        early: share of a token's life after which a successor is nobody's fault (half of it with min_remaining).
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


@dataclass
class History:
    """A run. `keys_without_ttl` and `counts` are the rig's own findings (H11). `names`: audiences by key hash."""

    posts: list[Post] = field(default_factory=list[Post])
    calls: list[Call] = field(default_factory=list[Call])
    steps: list[Step] = field(default_factory=list[Step])
    faults: list[Fault] = field(default_factory=list[Fault])
    bounds: Bounds = Bounds()
    replicas: Sequence[str] = ()
    keys_without_ttl: list[str] = field(default_factory=list[str])
    counts: list[Count] = field(default_factory=list[Count])
    names: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which (H1 to H11), and a sentence that says where to look."""

    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Mint:
    """A `mint_started` and what became of it. `event` is "" and `ended` None if the log does not say."""

    replica: str
    generation: int
    began: float
    ended: float | None
    event: str


@dataclass(frozen=True)
class Story:
    """All of a run that is about one key, each list in order of time, and all of its faults."""

    audience: str
    posts: list[Post]
    calls: list[Call]
    steps: list[Step]
    mints: list[Mint]
    faults: list[Fault]
    bounds: Bounds
    replicas: tuple[str, ...]

    def of(self, *events: str) -> list[Step]:
        return [step for step in self.steps if step.event in events]

    def got(self) -> list[Call]:
        """The calls that brought a token."""
        return [call for call in self.calls if call.brings_token]

    def rejects(self) -> list[Call]:
        return [call for call in self.calls if call.op == "reject"]

    def outages(self, replica: str = "") -> list[Fault]:
        """Faults that put the store out of reach, of this replica if one is named; in order of time."""
        return [fault for fault in self.faults if self.is_outage(fault) and (not replica or self._cuts(fault, replica))]

    def is_outage(self, fault: Fault) -> bool:
        """Said so, lossy, or a store server (not a replica) that was killed or stopped."""
        hurts_store = (fault.crash or fault.stall) and fault.target not in self.replicas
        return fault.outage or fault.lossy or hurts_store

    def lossy(self, began: float, ended: float) -> bool:
        """Whether the store may have lost writes in between."""
        return any(fault.lossy and fault.overlaps(began, ended) for fault in self.faults)

    def troubled(self, replica: str, began: float, ended: float) -> bool:
        """Whether the replica was killed or stopped, or anything kept it from the store, in between."""
        hurt = (fault for fault in self.faults if (fault.crash or fault.stall) and fault.concerns(replica))
        return any(fault.overlaps(began, ended) for fault in (*hurt, *self.outages(replica)))

    def _cuts(self, fault: Fault, replica: str) -> bool:
        return fault.target not in self.replicas or fault.target == replica


def stories(history: History) -> list[Story]:
    """One a key, in order of their names."""
    names = {**_guessed(history), **history.names}
    steps = [replace(step, audience=step.audience or names.get(step.key_hash, "")) for step in history.steps]
    # A step of a key that nobody can name is still about one key: its hash serves as the name.
    steps = [step if step.audience else replace(step, audience=step.key_hash) for step in steps]
    steps = [step for step in steps if step.audience]
    replicas = tuple(history.replicas) or _replicas(history)
    audiences = {item.audience for items in (history.posts, history.calls, steps) for item in items}
    return [_story(history, audience, steps, replicas) for audience in sorted(audiences)]


def _story(history: History, audience: str, steps: Iterable[Step], replicas: tuple[str, ...]) -> Story:
    mine = sorted((step for step in steps if step.audience == audience), key=lambda step: step.time)
    return Story(
        audience,
        sorted((post for post in history.posts if post.audience == audience), key=lambda post: post.time),
        sorted((call for call in history.calls if call.audience == audience), key=lambda call: call.began),
        mine,
        _mints(mine),
        sorted(history.faults, key=lambda fault: fault.began),
        history.bounds,
        replicas,
    )


def _mints(steps: Sequence[Step]) -> list[Mint]:
    """Each start with the first outcome that the same replica logged for it."""
    outcomes: dict[tuple[str, int], Step] = {}
    for step in steps:
        if step.event in OUTCOMES:
            outcomes.setdefault((step.replica, step.generation), step)
    mints: list[Mint] = []
    for step in steps:
        if step.event == "mint_started":
            end = outcomes.get((step.replica, step.generation))
            ended, event = (None, "") if end is None else (end.time, end.event)
            mints.append(Mint(step.replica, step.generation, step.time, ended, event))
    return mints


def _replicas(history: History) -> tuple[str, ...]:
    seen = {call.replica for call in history.calls} | {step.replica for step in history.steps}
    return tuple(sorted(seen))


def _guessed(history: History) -> dict[str, str]:
    """The audience of each key hash, by the generations that callers of the audience were given."""
    audiences: dict[int, set[str]] = {}
    for call in history.calls:
        if call.generation:
            audiences.setdefault(call.generation, set()).add(call.audience)
    votes: dict[str, Counter[str]] = {}
    for step in history.steps:
        votes.setdefault(step.key_hash, Counter()).update(audiences.get(step.generation, ()))
    return {key_hash: counter.most_common(1)[0][0] for key_hash, counter in votes.items() if counter}
