"""A fleet of replicas through one plan: what happens, when; then all is mended, and it must recover."""

import asyncio
import gc
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from simulate import product
from simulate.acts import Act, Call
from simulate.chance import seeded, stream
from simulate.faults import Armed, Failover, Fault
from simulate.issuer import Issuer
from simulate.laws import Laws
from simulate.ledger import Ledger
from simulate.loop import HaltedError, RunawayError, SimulatedLoop, StuckError
from simulate.network import StoreFace, Weather
from simulate.node import Node
from simulate.recovery import Recovery
from simulate.state import Broken, World
from simulate.times import HostClock

from mintonce_server.core.broker import Served
from mintonce_server.core.key import TokenKey

Event = Act | Fault
SNAPSHOT_EVERY: Final = 0.5
SNAPSHOTS: Final = 40
MOST_OPERATIONS: Final = 400_000


@dataclass(frozen=True)
class Plan:
    """All that decides a run. `salt`: another order of what happens at the same time."""

    seed: int
    nodes: int = 3
    keys: int = 1
    lifetimes: tuple[float, ...] = (30.0,)
    settings: product.Settings = field(default_factory=product.Settings)
    skews: tuple[float, ...] = ()
    seconds: float = 30.0
    events: tuple[Event, ...] = ()
    salt: int = 0


@dataclass(frozen=True)
class Outcome:
    """Of one run."""

    plan: Plan
    broken: tuple[Broken, ...]
    digest: str
    operations: int
    posts: int
    virtual: float
    lines: tuple[str, ...] = ()


def simulate(plan: Plan, *, verbose: bool = False, wanted: str = "") -> Outcome:
    """One run, to its end or until this law is broken. The same plan gives the same outcome in every process."""
    with product.ordered_hashes():
        return Fleet(plan, verbose, wanted).run()


class Fleet:
    """One run."""

    def __init__(self, plan: Plan, verbose: bool, wanted: str) -> None:
        self.plan = plan
        names = ("network", "hosts", "issuer", "product")
        self.chances = {name: stream(plan.seed * 1000 + plan.salt, name) for name in names}
        self.loop = SimulatedLoop(stream(plan.seed * 1000 + plan.salt, "order"), MOST_OPERATIONS)
        self.loop.set_exception_handler(self._loop_complains)
        self.keys = [product.key_for(number) for number in range(plan.keys)]
        names_of_keys = {product.HASHER(key): key for key in self.keys}
        self.issuer = Issuer(self.loop, self.chances["issuer"])
        self.issuer.lifetimes = {
            key: plan.lifetimes[number % len(plan.lifetimes)] for number, key in enumerate(self.keys)
        }
        self.world = World(self.loop, self.issuer, [], verbose, wanted)
        self.ledger = Ledger(self.world)
        self.store_clock = HostClock(self.loop)
        self.view = product.ServerView(self.store_clock)
        self.laws = Laws(self.world, self.ledger, self.view, names_of_keys, plan.settings.min_rotation_interval)
        self.face = StoreFace(self.loop, self.laws)
        self.nodes = [Node(self, index) for index in range(plan.nodes)]
        self.world.nodes.extend(node.state for node in self.nodes)
        self.calls: dict[asyncio.Task[None], Call] = {}
        self.seen: dict[TokenKey, list[tuple[int, str]]] = {}
        self.by_sha: dict[bytes, str] = {}
        self.ending = False
        self._snapshots: list[tuple[float, dict[str, Any]]] = []

    def run(self) -> Outcome:
        """To the end."""
        gc.disable()
        try:
            with seeded(self.chances["product"]):
                self._to_the_end()
                outcome = self._outcome()
                self._clean_up()
        finally:
            gc.enable()
        return outcome

    def _to_the_end(self) -> None:
        try:
            self.loop.run(self._all())
        except HaltedError:
            pass
        except StuckError:
            self.world.broken("H9", "everything waits, and nothing will come")
        except RunawayError:
            self.world.broken("H9", f"more than {MOST_OPERATIONS} operations: something goes round and round")

    def _clean_up(self) -> None:
        """End what was killed, so that nothing of it is left in this process."""
        self.ending, self.loop.halted, self.world.wanted = True, False, ""
        self.loop.most += MOST_OPERATIONS
        with suppress(StuckError, RunawayError):
            self.loop.run(self._bury())
        self.loop.close()

    def _outcome(self) -> Outcome:
        world = self.world
        return Outcome(
            self.plan, tuple(world.laws_broken), world.digest(), self.loop.operations + self.face.commands,
            self.ledger.count, self.loop.now, tuple(world.lines),
        )  # fmt: skip

    async def _all(self) -> None:
        for number, node in enumerate(self.nodes):
            node.settings = self.plan.settings
            node.skew = self.plan.skews[number] if number < len(self.plan.skews) else 0.0
            node.start()
        snapshots = self.loop.create_task(self._keep_snapshots() if _fails_over(self.plan) else asyncio.sleep(0.0))
        for event in sorted(self.plan.events, key=lambda event: event.at):
            await self._until(event.at)
            event.happen(self)
        while self.loop.now < (ends := max(self.plan.seconds, self.world.last_trouble + 0.1)):
            await self._until(ends)  # a replica that takes its time to leave prolongs the trouble
        snapshots.cancel()
        await Recovery(self).run()

    async def _until(self, when: float) -> None:
        if when > self.loop.now:
            await asyncio.sleep(when - self.loop.now)

    async def _keep_snapshots(self) -> None:
        while True:
            self._snapshots.append((self.loop.now, self.view.server.copy()))
            del self._snapshots[:-SNAPSHOTS]
            await asyncio.sleep(SNAPSHOT_EVERY)

    def snapshot(self, lag: float) -> dict[str, Any]:
        """What the store had so many seconds ago, as far as is known."""
        wanted = self.loop.now - lag
        older = [kept for at, kept in self._snapshots if at <= wanted]
        return {name: entry.copy() for name, entry in (older[-1] if older else {}).items()}

    async def _bury(self) -> None:
        for node in self.nodes:
            node.link.weather = Weather(refused=True)
            for lane in node.lanes:
                self.loop.revive(lane)
        me = asyncio.current_task()
        for _ in range(20):
            left = [task for task in asyncio.all_tasks() if task is not me]
            if not left:
                return
            for task in sorted(left, key=hash):
                task.cancel()
            await asyncio.sleep(0.5)

    def saw(self, key: TokenKey, served: Served) -> None:
        """A caller has this token, and can name it from now on."""
        text = served.token.access_token.reveal()
        seen = self.seen.setdefault(key, [])
        if not seen or seen[-1] != (served.token.generation, text):
            seen.append((served.token.generation, text))
        self.by_sha[hashlib.sha256(text.encode()).digest()] = text

    def lost(self, name: str | None) -> None:
        """The store is about to lose this."""
        self.world.loses(None if name is None else self.laws.keys[name])

    def kept_again(self) -> None:
        """After a failover: what the store has now."""
        for name, key in self.laws.keys.items():
            if kept := self.view.kept(name):
                self.world.stored[key] = kept.text

    def step_store(self, step: float) -> None:
        """The wall clock of the store's host."""
        self.store_clock.skew += step
        self.world.store_stepped = self.loop.now
        self.world.steps.append((self.loop.now, step))
        self.world.trouble(abs(step))

    def reconnected(self) -> None:
        """Every subscription broke and is back."""
        for node in self.nodes:
            node.reconnected()

    def settings_changed(self) -> None:
        """A replica comes back with other settings."""
        versions = {node.settings.version for node in self.nodes}
        self.world.credentials_differ = self.world.credentials_differ or len(versions) > 1
        self.laws.least_interval = min(node.settings.min_rotation_interval for node in self.nodes)

    def _loop_complains(self, _: Any, context: dict[str, Any]) -> None:
        if not self.ending:
            self.world.broken("H15", f"{context.get('message')}: {context.get('exception')!r}")


def _fails_over(plan: Plan) -> bool:
    events = [event.event if isinstance(event, Armed) else event for event in plan.events]
    return any(isinstance(event, Failover) for event in events)
