"""Every POST by name, and the one cause that allowed it.

Each POST allows one successor, and says from when on: after a failure when its back-off is over; after a token when
that is due, rejected, lost, or too short for a request; at once when the replica that posted was killed. A key's
first POST is the successor of nothing. So without faults a key's POSTs are a chain. A replica that is cut off from the
store may start a chain of its own, when it holds no token and the store has failed it just now.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from simulate.gate import Gate
from simulate.issuer import Issued
from simulate.product import Kept
from simulate.state import NEVER, NodeState, World

from mintonce_server.core.errors import IssuerError, IssuerRefused
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Minted, wanted

SLACK: Final = 0.6
"""Seconds by which a time may come early: readers count from before they ask, and links take their time."""
LEASE_LEFT: Final = 1.0
"""Seconds that any holder's lease lasts at least after its last renewal."""
LOSS_LASTS: Final = 30.0
"""Seconds in which a key may be minted a second time because the store lost it: a replica may hold a newer number."""
SETTLED: Final = 8.0
"""Seconds without trouble after which no replica acts upon a token that was replaced."""
REFRESH_SHARE: Final = 0.1
REFRESH_MAX: Final = 900.0
BACK_OFF_LEAST: Final = 1.0


class Stage(Enum):
    """How far a POST has come."""

    OPEN = auto()
    GOT = auto()
    FAILED = auto()
    KILLED = auto()


@dataclass(slots=True)
class Entry:
    """One POST."""

    number: int
    key: TokenKey
    node: int
    version: int
    at: float
    lone: bool
    generation: int = 0
    since: float = NEVER
    stage: Stage = Stage.OPEN
    ended: float = NEVER
    retry: float = 0.0
    refused: bool = False
    issued: Issued | None = None
    due: float = NEVER
    replaced: float = NEVER
    excuse: str = ""
    is_short: bool = False
    successor: int = 0

    def is_replaceable(self) -> bool:
        """Whether a token that comes into the store takes its place. What failed stands for the token before it."""
        return self.stage is Stage.GOT or self.lone or not self.number

    def __str__(self) -> str:
        how = self.stage.name.lower()
        what = f" {self.issued.text}" if self.issued else ""
        return f"#{self.number} by node {self.node} at {self.at:.3f}{' alone' * self.lone}: {how}{what}"


@dataclass
class Ledger:
    """All POSTs, key by key."""

    world: World
    entries: dict[TokenKey, list[Entry]] = field(default_factory=dict[TokenKey, list[Entry]])
    count: int = 0
    generations: dict[tuple[TokenKey, int], float] = field(default_factory=dict[tuple[TokenKey, int], float])
    spent_losses: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])
    wishes: dict[TokenKey, list[tuple[float, float]]] = field(default_factory=dict[TokenKey, list[tuple[float, float]]])
    rotations: dict[TokenKey, float] = field(default_factory=dict[TokenKey, float])
    gates: defaultdict[int, Gate] = field(init=False)

    def __post_init__(self) -> None:
        self.gates = defaultdict(lambda: Gate(self.world))

    def post(self, node: NodeState, key: TokenKey, lease: tuple[int, float] | None) -> Entry:
        """A POST begins: with a lease of this generation that was asked for at this time, or without one."""
        now = self.world.now
        chain = self.entries.setdefault(
            key, [Entry(0, key, 0, node.version, NEVER, False, stage=Stage.FAILED, excuse="first use")]
        )
        self.count += 1
        generation, since = lease or (None, now)
        entry = Entry(self.count, key, node.index, node.version, now, generation is None, generation or 0, since)
        self.gates[entry.version].post(node, entry)
        cause, predecessor = self._cause(entry, node, chain)
        if predecessor is not None:
            predecessor.successor = entry.number
        # Either of the two leases may be the older one: their POSTs need not come in their order.
        before = min(self.generations.get((key, generation or 0), NEVER), since)
        may_come = self.world.may_come_again(key, generation or 0, before)
        if generation is not None and before != NEVER and not may_come:
            self.world.broken("H3", f"POST {entry}: generation {generation} was posted before")
        self.generations.setdefault((key, generation or 0), since)
        self.world.trace("post", entry.number, node.index, key.audience, cause)
        chain.append(entry)
        self.world.moment("POST", node.index)
        return entry

    def ended(self, entry: Entry, minted: Minted | None, error: BaseException | None) -> None:
        """Its poster knows what came of it."""
        world = self.world
        entry.ended = now = world.now
        self.gates[entry.version].ended(entry, error)
        node = world.nodes[entry.node]
        if minted is None:
            entry.stage, world.issuer_failed = Stage.FAILED, now
            after = error.retry_after if isinstance(error, IssuerError) else None
            entry.retry = BACK_OFF_LEAST if after is None else after
            entry.refused = isinstance(error, IssuerRefused)
            world.longest_retry = max(world.longest_retry, entry.retry)
            if entry.lone:
                node.failed[entry.key] = now + entry.retry
            return
        issued = world.issuer.issued[minted.access_token.reveal()]
        entry.stage, entry.issued = Stage.GOT, issued
        if issued.text in world.got:
            # The issuer repeats its token: to the product that is a failure, too.
            world.repeated.add(issued.text)
            world.issuer_failed, world.longest_retry = now, max(world.longest_retry, minted.lifetime)
        world.believed[issued.text] = entry.at + minted.lifetime
        node.held[entry.key] = issued
        world.got[issued.text] = now
        # By what its poster reckons with: a token that comes again has less left than it once had.
        life = minted.lifetime
        # A lease that came late makes the store's clock seem behind: then the store keeps its token for a shorter time.
        if not entry.excuse:
            entry.due = entry.since + life - min(REFRESH_MAX, REFRESH_SHARE * life)
        if entry.at + life - now <= 1.0:
            entry.due, entry.excuse, entry.is_short = min(entry.due, now + 1.0), "too short to share", True
            world.issuer_failed = now

    def _cause(self, entry: Entry, node: NodeState, chain: list[Entry]) -> tuple[str, Entry | None]:
        if entry.lone and (why := self._alone(entry, node)):
            return why, None
        dropped = max(self.world.lost_at(entry.key), self.world.dropped.get(entry.key, NEVER))
        if not entry.lone and dropped >= entry.since:
            return "its lease was lost before the POST", None
        for before in chain:
            if not before.successor and (why := self.allows(before, entry)):
                return f"{why} (#{before.number})", before
        lost = self.world.lost_at(entry.key)
        if lost != self.spent_losses.get(entry.key, NEVER) and self.world.now - lost <= LOSS_LASTS:
            self.spent_losses[entry.key] = lost
            return "a second mint after the store lost its data", None
        self.world.broken(
            "mint law", f"POST {entry}: without a cause; before it: {'; '.join(self._story(chain, entry))}"
        )
        return "none", None

    def _story(self, chain: list[Entry], entry: Entry) -> Iterator[str]:
        for before in chain[-6:]:
            if not before.number:
                continue
            spent = f"successor #{before.successor}" if before.successor else "its successor is not allowed yet"
            due = f", due at {before.due:.3f}" if before.due > 0 else ""
            until = f", back-off until {before.ended + before.retry:.3f}" if before.stage is Stage.FAILED else ""
            yield f"{before} ({spent}{due}{until})"

    def _alone(self, entry: Entry, node: NodeState) -> str:
        """Why a POST without a lease may be: the store has failed this replica, which holds no live token."""
        now = self.world.now
        # Answers that came while it was stopped may be too late for it.
        is_back = now - node.resumed_at <= 1.0
        if now - node.store_failed > 1.0 + node.stopped_within(now - 1.0) and not is_back:
            return ""
        held = node.held.get(entry.key)
        if held is not None and not is_back and held.text not in self.world.rejected:
            early = self.world.stepped(held.at, forward=True)
            mine = any(before.issued is held and before.node == node.index for before in self.entries[entry.key])
            # Who has it from the store counts its life from before the question, which took its time.
            if self.world.believed[held.text] - early > now + (0.05 if mine else SLACK):
                return ""
        failed = node.failed.get(entry.key, NEVER)
        return "" if now < failed - 0.05 else "the store is away"

    def allows(self, before: Entry, entry: Entry) -> str:
        """Why the successor of one POST may be now, or "" if it may not."""
        now, world = self.world.now, self.world
        if before.replaced != NEVER and now - before.replaced > SETTLED and world.quiet_since(now - SETTLED):
            return ""
        if world.lost_at(before.key) > before.since:
            return "the store lost its data"
        if world.store_stepped > before.since:
            return "the store's clock stepped"
        if before.key in world.doubled:
            return "a store that lost its data gave a number again: the holder of the other token asks above it"
        if entry.version > before.version:
            return "other credentials"
        if before.excuse and now >= before.due - 0.05:
            return before.excuse
        match before.stage:
            case Stage.KILLED:
                return "its poster was killed"
            case Stage.OPEN:
                lost = world.nodes[before.node].troubled(before.at) and now - before.at >= LEASE_LEFT
                return "its poster lost the lease" if lost else ""
            case Stage.FAILED:
                return self._after_failure(before, entry)
            case Stage.GOT:
                return self._needs_successor(before, entry)

    def _after_failure(self, before: Entry, entry: Entry) -> str:
        now, poster = self.world.now, self.world.nodes[before.node]
        if now >= before.ended + before.retry - 0.05:
            return "the back-off is over"
        if self.world.dropped.get(before.key, NEVER) >= before.since:
            return "a rejection ended its lease before the failure was told"
        # A refusal belongs to the credential: who has another one asks, and heeds what that was told.
        if before.refused and entry.version != before.version and not self._is_refused(entry):
            return "another credential was refused"
        knows = before.lone and entry.node == before.node and poster.booted_at <= before.at
        return "the failure was not shared" if poster.troubled(before.at) and not knows else ""

    def _is_refused(self, entry: Entry) -> bool:
        """Whether this very credential was refused lately, as the store knows."""
        now, since = self.world.now, self.world.stepped
        return any(
            past.refused and past.version == entry.version and now < past.ended + past.retry - 0.05
            for past in self.entries[entry.key]
            if not past.lone and not since(past.at, forward=True)
        )

    def _needs_successor(self, before: Entry, entry: Entry) -> str:
        now, issued = self.world.now, before.issued
        assert issued
        if now >= before.due - SLACK - self.world.stepped(issued.at, forward=True):
            return "due"
        rejected = self.world.rejected.get(issued.text)
        if rejected is not None and rejected.at >= before.ended:
            return "rejected"
        if self.rotations.get(before.key, NEVER) >= now:
            return "rotation"
        poster = self.world.nodes[before.node]
        # A replica stopped past its lease may commit while the next holder is about to POST: one more mint a stall.
        late = self.world.first_stored.get(issued.text, now) >= entry.since
        if late and poster.troubled(before.since):
            return "it was not in the store when the lease was asked for"
        if issued.text in self.world.repeated and poster.troubled(before.since):
            return "its repetition was not shared"
        life = issued.ends - issued.at
        for until, wish in self.wishes.get(before.key, ()):
            if until >= now and issued.ends - now <= wanted(life, wish) + SLACK:
                return "a caller asked for more life"
        return "no replica holds it" if not self.world.is_held(issued) else ""

    def stored(self, key: TokenKey, kept: Kept) -> None:
        """The store has this token now: it replaces all others. It may end there before its time.

        One that comes late, or again after a loss, is due some time, whatever was minted after it meanwhile.
        """
        now, text = self.world.now, kept.text
        for entry in self.entries.get(key, ()):
            if entry.issued is not None and entry.issued.text == text:
                entry.replaced, entry.successor = NEVER, 0
                life = entry.issued.ends - entry.issued.at
                entry.due = min(entry.due, now + kept.left - min(REFRESH_MAX, REFRESH_SHARE * life))
            elif entry.is_replaceable() and entry.replaced == NEVER:
                entry.replaced = now

    def doom(self, key: TokenKey, why: str) -> None:
        """What is under way for this key will not count."""
        for entry in self.entries.get(key, ()):
            under_way = entry.issued is not None and entry.issued.text not in self.world.first_stored
            if (entry.stage is Stage.OPEN or (under_way and not entry.lone)) and not entry.excuse:
                entry.excuse, entry.due = why, self.world.now

    def refused(self, text: str, why: str) -> None:
        """The store did not take this token."""
        for entries in self.entries.values():
            for entry in entries:
                if entry.issued and entry.issued.text == text and not entry.excuse:
                    entry.excuse, entry.due = f"the store refused it ({why})", self.world.now

    def killed(self, node: int) -> None:
        """What it had posted is lost."""
        for entries in self.entries.values():
            for entry in entries:
                if entry.node == node and entry.stage is Stage.OPEN:
                    entry.stage, entry.ended = Stage.KILLED, self.world.now
