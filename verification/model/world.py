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
BEHIND = 3 * START // 4
"""The clock of a server that takes over and is behind: above MIN_INTERVAL, below every number given out before."""


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
    REPEATED = 7
    """The issuer gave the live token again; it tells that as a failure that ends with the token."""
    ADOPTING = 8
    """It has a number for the token that it minted without the store."""
    DONE = 9
    CRASHED = 10


ACTIVE = frozenset(Phase) - {Phase.ASKING, Phase.DONE, Phase.CRASHED}


class Minted(NamedTuple):
    """A token in a replica's hands. Generation 0: none."""

    generation: int = 0
    version: int = 0
    text: str = ""
    served_as: int = 0
    """The provisional number that it had before."""
    provisional: bool = False
    """It was minted without the store."""
    reissued: bool = False
    """The issuer gave a rejected text again, so it stands by it."""
    born: int = 0
    """After so many POSTs of the fleet: tells what was minted before a rejection was heard of, and what after."""
    unwanted: bool = False
    """The store refused it, because newer credentials were tried: it stays where it is."""
    dead: bool = False
    """Its life is over."""

    @property
    def live(self) -> bool:
        return bool(self.generation) and not self.dead

    def called(self, generation: int) -> bool:
        """Whether a caller may have got it under this number."""
        return self.live and generation in (self.generation, self.served_as)


class Replica(NamedTuple):
    """One process: its one flight for the key, and what it remembers."""

    phase: Phase = Phase.ASKING
    version: int = 1
    """Of the credentials that it has."""
    generation: int = 0
    """Of its lease."""
    rejected_text: str = ""
    live_text: str = ""
    """What it was told with its lease."""
    overdue: bool = False
    """Its lease lapsed; it knows by its own clock."""
    token: Minted = Minted()
    """What its POST brought."""
    newer_than: int = 0
    """What it asks for: a successor, or 0 for any."""
    held: Minted = Minted()
    """In its memory."""
    barred: int = 0
    """Rejected, as the store told it."""
    barred_text: str = ""
    barred_at: int = 0
    """After so many POSTs it learned that."""
    doubts: bool = False
    """It heard that its token may be rejected, and has not asked yet."""

    @property
    def over(self) -> int:
        """The number of a token of the store's that was here and has ended."""
        return self.held.generation if self.held.dead and not self.held.provisional else 0

    def landed(self, phase: Phase) -> "Replica":
        """Without its flight."""
        rejections = Replica(
            version=self.version, barred=self.barred, barred_text=self.barred_text, barred_at=self.barred_at
        )
        return rejections._replace(phase=phase, held=self.held, doubts=self.doubts)

    def again(self) -> "Replica":
        """It asks again, for the same."""
        return self.landed(Phase.ASKING)._replace(newer_than=self.newer_than)


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
    while_live: bool = False
    """It did so because of the live token."""
    fresh: bool = False
    """A token fell to a rejection within the interval."""
    fallen: tuple[int, ...] = ()
    """The barriers, raised by replicas, to which a token fell."""
    highest: int = 0
    """The highest number that was given out or named by the store."""
    served_as: int = 0
    """The provisional number of the current token."""


class Budgets(NamedTuple):
    """How often what may go wrong does."""

    crashes: int = 0
    stalls: int = 0
    """A lease lapses under its living holder."""
    failures: int = 0
    repeats: int = 0
    """The issuer hands out a text that was rejected, or the live one."""
    lost_replies: int = 0
    outages: int = 0
    """A commit that never gets through."""
    alone: int = 0
    """A replica finds the store away, and mints without it."""
    refreshes: int = 0
    """A replica wants a successor of a live token."""
    expiries: int = 0
    rejects: int = 0
    """A caller rejects any generation that was ever served, at any time."""
    losses: int = 0
    """The store is emptied."""
    clocks: int = 0
    """So is it, and its clock is behind."""
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
    rejected: tuple[int, ...] = ()
    """What the store said that it has rejected, and what a replica withdrew itself."""
    gone: tuple[str, ...] = ()
    """The texts that fell to a caller's rejection."""
    before: tuple[State, Known] | None = None

    def with_replica(self, index: int, replica: Replica) -> "World":
        return self._replace(replicas=(*self.replicas[:index], replica, *self.replicas[index + 1 :]))

    @property
    def settled(self) -> bool:
        """Nothing is left to do."""
        return all(self._is_at_rest(replica) for replica in self.replicas)

    def _is_at_rest(self, replica: Replica) -> bool:
        if replica.phase is Phase.CRASHED:
            return True
        numbered = not replica.held.provisional or replica.held.unwanted
        return replica.phase is Phase.DONE and numbered and not replica.doubts and not replica.held.dead

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
"""The nonce of a flight that is over. It is not used again."""


def nonce_of(index: int) -> str:
    """Of the replica's flight under way."""
    return f"replica {index}"


def owner_of(state: State) -> str:
    """The nonce of the lease, or ""."""
    return state.lease.nonce if state.lease else ""


def without_nonce(state: State, nonce: str) -> State:
    """A lease of this nonce has no owner now."""
    return _renamed(state, {nonce: NOBODY})


def withdrawn(world: World, generation: int) -> World:
    """The store said that this was rejected, or its only holder serves it no more."""
    if generation in world.rejected:
        return world
    return world._replace(rejected=tuple(sorted((*world.rejected, generation))))


def _renamed(state: State, names: dict[str, str]) -> State:
    lease = state.lease
    if lease is None or lease.nonce not in names:
        return state
    return state._replace(lease=lease._replace(nonce=names[lease.nonce]))
