"""A whole fleet at one moment, as the search sees it: store, replicas, what has happened and what still may.

Time hardly matters here: whatever can lapse may lapse at any moment, by a step of the search (see faults.py). So all
of it is set to end at HORIZON, and the store's clock stands still until data is lost.
"""

from enum import IntEnum
from typing import NamedTuple

from model.values import State

START = 1_000_000
HORIZON = 10 * START
MIN_INTERVAL = START // 2
"""Between two rejections; long over for a key that never had one."""


class Phase(IntEnum):
    """Where a replica's flight is."""

    ASKING = 0
    HOLDING = 1
    """It has the lease and has not sent its POST."""
    POSTED = 2
    COMMITTING = 3
    FAILING = 4
    SETTLING = 5
    """It has told its failure and asks what is live all the same."""
    SHARING = 6
    """Its failure was told too late; it has a lease again and tells it under that one."""
    DONE = 7
    CRASHED = 8


ACTIVE = frozenset({Phase.HOLDING, Phase.POSTED, Phase.COMMITTING, Phase.FAILING, Phase.SETTLING, Phase.SHARING})


class Minted(NamedTuple):
    """A token in a replica's hands. Generation 0: none."""

    generation: int = 0
    version: int = 0
    text: str = ""


class Replica(NamedTuple):
    """One process, and its one flight for the key."""

    phase: Phase = Phase.ASKING
    version: int = 1
    """Of the credentials that it has."""
    generation: int = 0
    """Of its lease."""
    rejected_text: str = ""
    """What it was told with its lease."""
    overdue: bool = False
    """Its lease lapsed; it knows by its own clock."""
    token: Minted = Minted()
    barred: int = 0
    """Rejected, as far as it has heard."""


class Known(NamedTuple):
    """What the store was told and must not forget. Only a loss of its data takes this back."""

    peak: int = 0
    """The highest generation that ever was current."""
    floor: int = 0
    """Rejected, or begun before a rejection."""
    rejected_text: str = ""
    version: int = 0
    """The newest credentials that were minted with."""
    closed: int = 0
    """The issuer said no to credentials up to this version."""
    fresh: bool = False
    """There was a rejection within the interval."""


class Budgets(NamedTuple):
    """How often what may go wrong does."""

    crashes: int = 0
    stalls: int = 0
    """A lease lapses under its living holder."""
    failures: int = 0
    repeats: int = 0
    """The issuer hands out the text that was rejected last."""
    lost_replies: int = 0
    outages: int = 0
    """A commit that never gets through."""
    expiries: int = 0
    rejects: int = 0
    """A caller rejects any generation that was ever served, at any time."""
    losses: int = 0
    """The store is emptied."""
    failovers: int = 0
    """The store forgets the last thing that it was told."""
    write_backs: int = 0
    rotations: int = 0
    """A replica restarts with a new secret."""

    def less(self, **spent: int) -> "Budgets":
        return self._replace(**{name: getattr(self, name) - count for name, count in spent.items()})


class World(NamedTuple):
    """Everything. `before`: what a failover would go back to; kept only while one may come."""

    left: Budgets
    replicas: tuple[Replica, ...]
    state: State = State()
    now: int = START
    known: Known = Known()
    posts: tuple[int, ...] = ()
    """The generations that a POST was sent for, one a POST."""
    served: tuple[int, ...] = ()
    """The generations that callers have seen."""
    rejections: int = 0
    before: tuple[State, Known] | None = None

    def with_replica(self, index: int, replica: Replica) -> "World":
        return self._replace(replicas=(*self.replicas[:index], replica, *self.replicas[index + 1 :]))

    @property
    def settled(self) -> bool:
        """Nobody wants anything any more."""
        return all(replica.phase >= Phase.DONE for replica in self.replicas)

    def canonical(self) -> "World":
        """The same for all worlds that differ only in who is who."""
        now, then = owner_of(self.state), owner_of(self.before[0]) if self.before else ""
        order = sorted(
            range(len(self.replicas)),
            key=lambda index: (self.replicas[index], nonce_of(index) == now, nonce_of(index) == then),
        )
        names = {nonce_of(index): nonce_of(place) for place, index in enumerate(order)}
        before = (_renamed(self.before[0], names), self.before[1]) if self.before else None
        replicas = tuple(self.replicas[index] for index in order)
        return self._replace(replicas=replicas, state=_renamed(self.state, names), before=before)


NOBODY = "nobody"
"""The nonce of a flight that is over. Nobody asks with it again."""


def nonce_of(index: int) -> str:
    """Of the replica's flight under way."""
    return f"replica {index}"


def owner_of(state: State) -> str:
    """The nonce of the lease, or ""."""
    return state.lease.nonce if state.lease else ""


def without_nonce(state: State, nonce: str) -> State:
    """A lease of this nonce is nobody's now."""
    return _renamed(state, {nonce: NOBODY})


def _renamed(state: State, names: dict[str, str]) -> State:
    lease = state.lease
    if lease is None or lease.nonce not in names:
        return state
    return state._replace(lease=lease._replace(nonce=names[lease.nonce]))
