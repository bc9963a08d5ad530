"""What the simulation knows that no replica does: the truth about time, trouble, tokens and rejections."""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulate.issuer import Issued, Issuer
from simulate.loop import SimulatedLoop
from simulate.times import EPOCH

from mintonce_server.core.key import TokenKey

NEVER: Final = float("-inf")
REMEMBERED: Final = 400
"""Lines of the trace that a failing run shows."""
SAME_TIME: Final = 10_000.0
"""Microseconds. What is given out right before a loss may be given out right after it."""


@dataclass(slots=True)
class NodeState:
    """What happened to one replica. `held`: the newest token of each key that it is known to have."""

    index: int
    version: int = 1
    store_failed: float = NEVER
    stopped_at: float = NEVER
    resumed_at: float = NEVER
    booted_at: float = 0.0
    is_up: bool = False
    is_stopped: bool = False
    held: dict[TokenKey, Issued] = field(default_factory=dict[TokenKey, Issued])
    failed: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])

    def troubled(self, since: float) -> bool:
        """Whether it was stopped or could not reach the store after this."""
        return self.is_stopped or self.resumed_at >= since or self.store_failed >= since or self.booted_at >= since

    def stopped_within(self, since: float) -> float:
        """Seconds; an upper bound."""
        return self.resumed_at - self.stopped_at if self.resumed_at >= since else 0.0


@dataclass(slots=True)
class Rejected:
    """A token whose rejection counted, last at `at`. `told`: when each replica acknowledged one; by node and boot."""

    text: str
    at: float
    generation: int
    told: dict[tuple[int, float], float] = field(default_factory=dict[tuple[int, float], float])


@dataclass(frozen=True, slots=True)
class Broken:
    """A law that was broken."""

    law: str
    what: str
    at: float

    def __str__(self) -> str:
        return f"{self.law} at {self.at:.3f}: {self.what}"


@dataclass
class World:
    """One run. It ends at once when the law `wanted` is broken."""

    loop: SimulatedLoop
    issuer: Issuer
    nodes: list[NodeState]
    verbose: bool = False
    wanted: str = ""
    laws_broken: list[Broken] = field(default_factory=list[Broken])
    rejected: dict[str, Rejected] = field(default_factory=dict[str, Rejected])
    believed: dict[str, float] = field(default_factory=dict[str, float])
    got: dict[str, float] = field(default_factory=dict[str, float])
    dropped: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])
    first_stored: dict[str, float] = field(default_factory=dict[str, float])
    stored: dict[TokenKey, str] = field(default_factory=dict[TokenKey, str])
    losses: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])
    all_lost: float = NEVER
    forgotten: list[tuple[float, TokenKey | None, float]] = field(
        default_factory=list[tuple[float, TokenKey | None, float]]
    )
    store_stepped: float = NEVER
    armed: dict[str, list[Callable[[int], None]]] = field(default_factory=dict[str, list[Callable[[int], None]]])
    steps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    last_trouble: float = NEVER
    issuer_failed: float = NEVER
    doubled: set[TokenKey] = field(default_factory=set[TokenKey])
    repeated: set[str] = field(default_factory=set[str])
    longest_retry: float = 0.0
    credentials_differ: bool = False
    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=REMEMBERED))
    _hash: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=8))
    events: int = 0

    @property
    def now(self) -> float:
        """The simulation's time."""
        return self.loop.now

    def trace(self, what: str, *details: object) -> None:
        """An event of the run, for its hash and for people."""
        self.events += 1
        line = f"{self.loop.now:.6f} {what} {' '.join(map(str, details))}"
        self._hash.update(line.encode())
        if self.verbose:
            self.lines.append(line)

    def moment(self, what: str, node: int) -> None:
        """A replica comes to one of the moments that armed events wait for."""
        if waiting := self.armed.get(what):
            waiting.pop(0)(node)

    def note(self, what: str, *details: object) -> None:
        """For people only."""
        if self.verbose:
            self.lines.append(f"{self.loop.now:.6f} {what} {' '.join(map(str, details))}")

    def digest(self) -> str:
        """Of all that happened, and of how many steps it took."""
        return f"{self._hash.hexdigest()}-{self.loop.operations}"

    def broken(self, law: str, what: str) -> None:
        """Remember it; the run goes on."""
        self.trace("BROKEN", law, what)
        self.laws_broken.append(Broken(law, what, self.now))
        if law == self.wanted:
            self.loop.halted = True

    def trouble(self, seconds: float = 0.0) -> None:
        """Something that replicas may feel happens now and for so long."""
        self.last_trouble = max(self.last_trouble, self.now + seconds)

    def quiet_since(self, since: float) -> bool:
        """Whether nothing troubled any replica after this."""
        return self.last_trouble < since and not any(node.troubled(since) for node in self.nodes)

    def lost_at(self, key: TokenKey) -> float:
        """When the store last lost something of the key."""
        return max(self.all_lost, self.losses.get(key, NEVER))

    def stepped(self, since: float, *, forward: bool = False) -> float:
        """Seconds by which the store's clock was turned back after this, or forward: who reads it there believes it."""
        return sum(abs(step) for at, step in self.steps if at >= since and (step > 0) is forward)

    def loses(self, key: TokenKey | None) -> None:
        """The store loses all that it knows of a key, or (None) of all keys."""
        self.trouble()
        clock = (EPOCH + self.now + sum(step for _, step in self.steps)) * 1_000_000
        self.forgotten.append((self.now, key, clock))
        if key is None:
            self.all_lost = self.now
            self.stored.clear()
        else:
            self.losses[key] = self.now
            self.stored.pop(key, None)

    def may_come_again(self, key: TokenKey, generation: int, since: float) -> bool:
        """Whether the store lost a number that it gave out after this, before its clock had passed it.

        A number is ahead where a host's clock is, or where the store's clock was set back. It counts milliseconds.
        """
        if self.lost_at(key) >= since and self.stepped(since) > 0:
            return True
        lost = (clock for at, of, clock in self.forgotten if at >= since and of in (None, key))
        return any(generation > clock - SAME_TIME for clock in lost)

    def is_held(self, issued: Issued) -> bool:
        """Whether the store or a running replica has this token."""
        if self.stored.get(issued.key) == issued.text:
            return True
        return any(
            node.is_up and (held := node.held.get(issued.key)) is not None and held.text == issued.text
            for node in self.nodes
        )
