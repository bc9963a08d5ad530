"""A fleet that keeps every promise, in virtual time: histories for the tests of the checker."""

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from history.checker import Bounds, Call, History
from history.tale import REPLICAS, Made, Tale

Action = Literal[
    "get", "herd", "reject", "reject nothing", "storm", "kill", "stall", "issuer down", "issuer repeats", "outage",
    "emptied",
]  # fmt: skip
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
LIFE: Final = 40.0
"""Seconds that a token lives."""
RPC, MINT, WOKEN = 0.01, 0.22, 0.02
NEVER_WAS: Final = (2**53, 2**62)


@dataclass
class Held:
    """What a replica has in memory, and when the store last confirmed it."""

    made: Made
    confirmed_at: float


@dataclass
class SimulatedFleet:
    """One key, three replicas, one store. Each method lets one thing happen and moves the clock on."""

    now: float = 1000.0
    tale: Tale = field(default_factory=lambda: Tale(history=History(bounds=Bounds(lease=3.0), replicas=REPLICAS)))
    stored: Made | None = None
    rejected_at: float = -1e9
    retry_at: float = 0.0
    highest: int = 0
    marked: set[int] = field(default_factory=set[int])
    memory: dict[str, Held] = field(default_factory=dict[str, Held])

    def act(self, action: Action, replica: str) -> None:
        """One of the ACTIONS, at this replica."""
        acts = {
            "get": self.get, "herd": self.herd, "reject": self.reject, "reject nothing": self.reject_nothing,
            "storm": self.storm, "kill": self.kill, "stall": self.stall, "issuer down": self.issuer_down,
            "issuer repeats": self.issuer_repeats, "outage": self.outage, "emptied": self.emptied,
        }  # fmt: skip
        self._revalidate()
        acts[action](replica)

    def get(self, replica: str) -> None:
        """Memory, the store, or a mint."""
        if made := self._known(replica):
            self._answer(replica, made, "MEMORY", RPC)
        elif made := self._in_store():
            self.memory[replica] = Held(made, self.now)
            self._answer(replica, made, "STORE", RPC)
        elif self._refuse(replica):
            return
        else:
            made = self._mint(replica)
            self._answer(replica, made, "MINT", MINT)
            self.now += MINT

    def herd(self, replica: str) -> None:
        """All at once: one mints, the others wait for it."""
        if self._in_store() or self.now < self.retry_at:
            for one in REPLICAS:
                self.get(one)
            return
        made = self._mint(replica)
        for one in REPLICAS:
            mine = one == replica
            self.memory[one] = Held(made, self.now)
            self._answer(one, made, "MINT" if mine else "STORE", MINT if mine else MINT + WOKEN)
        self.now += MINT + WOKEN

    def reject(self, replica: str) -> None:
        """A caller says that the token was refused; the replica, and then the fleet, let it go."""
        made = self._in_store()
        held = self.memory.get(replica)
        if made is None or held is None or held.made != made:
            return
        if self.now - self.rejected_at < self.tale.history.bounds.min_rotation + 1.0:
            return
        self.tale.reject(replica, made, self.now)
        self.rejected_at, self.stored = self.now, None
        del self.memory[replica]
        self.now += RPC

    def reject_nothing(self, replica: str) -> None:
        """A caller names generations that never were: refused, and nothing changes."""
        for generation in (self.highest + 1, *NEVER_WAS):
            self.tale.reject(replica, Made(generation, "", 0.0), self.now, status="INVALID_ARGUMENT")
            self.now += RPC

    def issuer_repeats(self, replica: str) -> None:
        """A caller rejects the token, and the issuer gives it again: it is served on, marked degraded."""
        made = self._in_store()
        self.reject(replica)
        if made is None or self.stored is not None:
            return
        self.now += RPC
        again = self.tale.reissued(replica, made, self.now, self._next())
        self.marked.add(again.generation)
        self.stored = again
        self.memory[replica] = Held(again, self.now)
        self._answer(replica, again, "MINT", MINT)
        self.now += MINT

    def storm(self, replica: str) -> None:
        """Everybody rejects the same token."""
        made = self._in_store()
        self.reject(replica)
        if made is not None and self.stored is None:
            for one in REPLICAS:
                self.tale.reject(one, made, self.now)
                self.memory.pop(one, None)
                self.now += RPC
            self.get(replica)

    def kill(self, replica: str) -> None:
        """The holder of the lease dies between POST and commit; another takes over when the lease has lapsed."""
        if self._in_store() or self.now < self.retry_at:
            return
        began = self.now
        self.tale.started(replica, began, self._next(), life=LIFE)
        self.tale.fault("kill", began + 0.05, began + 2.0, replica, crash=True)
        self.memory.pop(replica, None)
        self.tale.miss(replica, began, took=0.06, reason="", retry_after=None)
        self._take_over(replica, began)

    def stall(self, replica: str) -> None:
        """The holder sleeps past its lease, and its commit comes too late."""
        if self._in_store() or self.now < self.retry_at:
            return
        began = self.now
        self.tale.refused(replica, began, self._next(), why="STALE", took=5.0)
        self.tale.fault("stop", began + 0.05, began + 5.0, replica, stall=True)
        self._take_over(replica, began)
        self.now = max(self.now, began + 5.5)

    def issuer_down(self, replica: str) -> None:
        """A mint fails; the fleet waits as long as it was told."""
        if self._known(replica) or self._in_store() or self.now < self.retry_at:
            return
        began = self.now
        self.tale.fault("503", began, began + 0.3)
        self.tale.failed(replica, began, 2.0, self._next())
        self.retry_at = began + 2.2
        self.tale.miss(replica, began, took=0.21, reason="ISSUER_UNAVAILABLE", retry_after=2.0)
        self.now += 0.3

    def outage(self, replica: str) -> None:
        """Who has a live token serves it. Who has none mints alone, and the store numbers that token afterwards."""
        began = self.now
        self.tale.fault("redis killed", began - RPC, began + 2.0, "redis-1", crash=True)
        held = self.memory.get(replica)
        if held is not None and held.made.expires_at > self.now + 3.0:
            self._answer(replica, held.made, "MEMORY", RPC, degraded=True)
        elif self.now >= self.retry_at:
            alone = self.tale.alone(replica, self.now, max(int((self.now + 20.0) * 1000), self.highest + 1), life=LIFE)
            self._answer(replica, alone, "MINT", MINT, degraded=True)
            self.highest = max(self.highest, alone.generation)
            self.stored = self.tale.adopted(replica, alone, self.now + 2.2, self._next())
            self.memory[replica] = Held(self.stored, self.now + 2.2)
        self.now += 2.5

    def emptied(self, replica: str) -> None:
        """The store lost everything; every replica with a live token writes it back."""
        self.tale.fault("emptied", self.now, self.now + 0.5, "redis-1", lossy=True)
        held = self.memory.get(replica)
        alive = held is not None and held.made.expires_at > self.now
        if self.stored is not None and not (alive and held is not None and held.made == self.stored):
            self.stored = None
        self.now += 1.0

    def _revalidate(self) -> None:
        """In the background, more often than memory must be confirmed: what is no longer current goes."""
        due = self.tale.history.bounds.revalidate / 2
        for replica, held in list(self.memory.items()):
            if self.now - held.confirmed_at > due:
                if held.made == self.stored:
                    held.confirmed_at = self.now
                else:
                    del self.memory[replica]

    def _known(self, replica: str) -> Made | None:
        """What memory may serve: live, and confirmed lately."""
        held = self.memory.get(replica)
        fresh = held is not None and self.now - held.confirmed_at <= self.tale.history.bounds.revalidate
        return held.made if held is not None and fresh and held.made.expires_at > self.now + 1.0 else None

    def _in_store(self) -> Made | None:
        return self.stored if self.stored is not None and self.stored.expires_at > self.now + 1.0 else None

    def _refuse(self, replica: str) -> bool:
        if self.now >= self.retry_at:
            return False
        wait = self.retry_at - self.now
        self.tale.miss(replica, self.now, took=RPC, reason="ISSUER_UNAVAILABLE", retry_after=wait)
        self.now += RPC
        return True

    def _mint(self, replica: str) -> Made:
        made = self.tale.mint(replica, self.now, self._next(), life=LIFE)
        self.stored = made
        self.memory[replica] = Held(made, self.now)
        return made

    def _next(self) -> int:
        """The generation that the store gives out next: above all before it."""
        self.highest = max(self.highest + 1, int(self.now * 1000))
        return self.highest

    def _take_over(self, replica: str, began: float) -> None:
        other = REPLICAS[(REPLICAS.index(replica) + 1) % len(REPLICAS)]
        self.now = began + 3.05
        made = self._mint(other)
        self._answer(other, made, "MINT", MINT)
        self.now += MINT

    def _answer(self, replica: str, made: Made, origin: str, took: float, *, degraded: bool = False) -> Call:
        degraded = degraded or made.generation in self.marked
        call = self.tale.get(replica, made, self.now, took=took, origin=origin, degraded=degraded)
        if origin == "MEMORY":
            self.now += took
        return call
