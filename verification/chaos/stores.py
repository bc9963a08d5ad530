"""The store dies, stops, forgets, fails over; or the way to it does."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from chaos.crashes import committed_on_its_way, lease_on_its_way
from chaos.stage import Inject, Scenario, Stage

from support.eventually import eventually
from support.fault_proxy import Fate, Hole, Passing
from support.nodes import Node

OUTAGE: Final = 2.0
STORE: Final = "store"


def keeping_the_long_one(inject: Inject) -> Inject:
    """The token with a long life must outlive whatever happens to the store: it is minted once."""

    async def guarded(stage: Stage) -> None:
        await inject(stage)
        posts = stage.posts(stage.long)
        stage.expect(posts == 1, f"{posts} POSTs for a token that every replica held; 1 was promised")

    return guarded


async def killed(stage: Stage) -> None:
    """SIGKILL and, a moment later, an empty server in its place."""
    server = stage.rig.topology.servers[0]
    async with stage.fault(STORE, lossy=True, crash=True):
        await server.kill()
        await asyncio.sleep(stage.chance.uniform(0.2, OUTAGE))
        await server.start()


async def stopped(stage: Stage) -> None:
    """SIGSTOP: connections stay, nothing is answered. Then it goes on as if nothing had happened."""
    (server, *_) = await stage.rig.topology.primaries()
    async with stage.fault(STORE, stall=True):
        server.stop()
        await asyncio.sleep(OUTAGE)
        server.resume()


async def emptied(stage: Stage) -> None:
    """All data and scripts are gone from one moment to the next."""
    async with stage.fault(STORE, lossy=True):
        await stage.rig.topology.empty()


async def scripts_flushed(stage: Stage) -> None:
    """Again and again the server forgets the scripts, and only those."""
    async with stage.fault(STORE):
        for _ in range(10):
            for server in await stage.rig.topology.primaries():
                await server.command("SCRIPT", "FLUSH")
            await asyncio.sleep(0.1)


def replies_lost(fate: Fate) -> Inject:
    """Half of the replies to scripts, after these were carried out. A repetition always gets its reply."""

    async def inject(stage: Stage) -> None:
        # Cut off, a replica asks again and must get the same answer. A reply that never comes is an outage to it.
        async with stage.fault(STORE, outage=fate is Fate.VANISH):
            for proxy in stage.rig.stores.values():
                proxy.loss, proxy.loss_fate, proxy.lossy = 0.5, fate, _first_times()
            lost = 0
            for _ in range(3):
                await stage.ask_all(stage.cold(), times=2)
            await asyncio.sleep(1.0)
            for proxy in stage.rig.stores.values():
                lost += proxy.lost
                proxy.heal()
        stage.notes["replies_lost"] = lost
        stage.expect(lost > 0, "no reply was lost: nothing was tested")

    return inject


def _first_times() -> Callable[[Passing], bool]:
    seen: set[tuple[bytes, ...]] = set()

    def is_first(passing: Passing) -> bool:
        # The script, its key, and the nonce or generation that names the try.
        if len(passing.words) < 7 or passing.words[0] not in (b"EVALSHA", b"EVAL"):
            return False
        name = (passing.words[3], passing.words[6], passing.words[1])
        new = name not in seen
        seen.add(name)
        return new

    return is_first


async def answers_lost(stage: Stage) -> None:
    """The one reply that counts, of each act around a mint, is lost. Asked again, the store gives the same answer."""
    for set_trap in (lease_on_its_way, committed_on_its_way):
        holder, audience = stage.chance.choice(stage.members), stage.cold()
        async with stage.fault(STORE):
            trap = set_trap(stage, holder, audience)
            trap.let_go(Fate.CUT)
            call = await stage.get(holder, audience)
        seconds = call.ended - call.began
        stage.expect(trap.sprung.is_set(), "no reply was lost: nothing was tested")
        stage.expect(call.ok and stage.posts(audience) == 1, f"{stage.posts(audience)} POSTs, {call.status}")
        # A replica that does not recognise its own lease waits until it has lapsed.
        stage.expect(seconds < 0.9 * stage.rig.setup.lease, f"answered after {seconds:.2f} s, for a lost reply")


async def replica_in_a_hole(stage: Stage) -> None:
    """One replica reaches neither store nor issuer, and gets no error."""
    member = stage.chance.choice(stage.members)
    async with stage.fault(member.name, outage=True):
        for proxy in (stage.rig.stores[member.name], stage.rig.issuers[member.name]):
            proxy.hole = Hole.ALL
        await asyncio.sleep(2.5)
        for proxy in (stage.rig.stores[member.name], stage.rig.issuers[member.name]):
            proxy.heal()


async def subscribers_in_a_hole(stage: Stage) -> None:
    """No wake-up arrives anywhere; commands pass."""
    async with stage.fault(STORE):
        for proxy in stage.rig.stores.values():
            proxy.hole = Hole.SUBSCRIBERS
        await stage.ask_all(stage.cold(), times=4)
        audience = stage.cold(long=True)
        (call, *_) = await stage.ask_all(audience, times=4)
        # No message arrives, and all must know within the revalidation bound.
        await stage.callers.reject(stage.chance.choice(stage.members), audience, call.generation)
        ends = time.monotonic() + stage.rig.setup.revalidate + stage.rig.setup.slack + 1.0
        while time.monotonic() < ends:
            await stage.ask_all(audience)
            await asyncio.sleep(0.1)
        for proxy in stage.rig.stores.values():
            proxy.heal()


async def slow(stage: Stage) -> None:
    """Each command and each reply takes 40 ms longer."""
    async with stage.fault(STORE):
        for proxy in stage.rig.stores.values():
            proxy.latency = 0.04
        await stage.ask_all(stage.cold(), times=4)
        await asyncio.sleep(1.5)
        for proxy in stage.rig.stores.values():
            proxy.heal()


async def connections_cut(stage: Stage) -> None:
    """Every connection to the store is reset, a few times."""
    async with stage.fault(STORE):
        for _ in range(4):
            for proxy in stage.rig.stores.values():
                proxy.cut()
            await stage.ask_all(stage.cold(), times=2)
            await asyncio.sleep(0.2)


async def failed_over(stage: Stage) -> None:
    """On demand, without a fault. Only a Cluster hands over without losing what was written last."""
    lossy = stage.rig.setup.topology == "sentinel"
    async with stage.fault(STORE, lossy=lossy, outage=True):
        primary = await stage.rig.topology.primary_of(stage.rig.record(stage.audiences[0]))
        await stage.rig.topology.fail_over(primary)


async def primary_killed(stage: Stage) -> None:
    """SIGKILL of the primary; its replica is promoted by the others."""
    primary = await stage.rig.topology.primary_of(stage.rig.record(stage.audiences[0]))
    async with stage.fault(STORE, lossy=True, crash=True):
        replica = await stage.rig.topology.replica_of(primary)
        await primary.kill()
        # Writes are lost until clients find the new one: the old one, started again and empty, would still take some.
        await eventually(partial(stage.rig.topology.has_taken_over, replica), bool, within=20.0)


async def failed_over_losing_writes(stage: Stage) -> None:
    """The primary takes mints and a rejection that its replica never hears of, and dies."""
    topology, rejected = stage.rig.topology, stage.cold()
    (before, *_) = await stage.ask_all(rejected)
    async with stage.fault(STORE, lossy=True, outage=True):
        primary: Node = await topology.primary_of(stage.rig.record(rejected))
        async with topology.losing_writes(primary):
            await stage.callers.reject(stage.members[0], rejected, before.generation)
            await stage.ask_all(rejected)
            await stage.ask_all(stage.cold())
    stage.notes["posts"] = stage.posts(rejected)


async def slot_migrated(stage: Stage) -> None:
    """The slots of keys in use move to other shards, one after the other."""
    async with stage.fault(STORE):
        for audience in stage.audiences:
            await stage.rig.cluster.migrate(stage.rig.record(audience))


FAILING_OVER: Final = ("sentinel", "cluster")
SCENARIOS: Final = (
    Scenario("store-killed", keeping_the_long_one(killed), ("single",)),
    Scenario("store-stopped", keeping_the_long_one(stopped), ("single",)),
    Scenario("store-emptied", keeping_the_long_one(emptied)),
    Scenario("script-flush", keeping_the_long_one(scripts_flushed)),
    Scenario("replies-cut", keeping_the_long_one(replies_lost(Fate.CUT)), ("single",)),
    Scenario("replies-vanish", keeping_the_long_one(replies_lost(Fate.VANISH)), ("single",)),
    Scenario("answers-lost", keeping_the_long_one(answers_lost), ("single",)),
    Scenario("replica-hole", keeping_the_long_one(replica_in_a_hole), ("single",)),
    Scenario("subscriber-hole", keeping_the_long_one(subscribers_in_a_hole), ("single",)),
    Scenario("store-slow", keeping_the_long_one(slow), ("single",)),
    Scenario("connections-cut", keeping_the_long_one(connections_cut), ("single",)),
    Scenario("failed-over", keeping_the_long_one(failed_over), FAILING_OVER),
    Scenario("primary-killed", keeping_the_long_one(primary_killed), FAILING_OVER),
    Scenario("lost-writes", keeping_the_long_one(failed_over_losing_writes), FAILING_OVER),
    Scenario("slot-migration", keeping_the_long_one(slot_migrated), ("cluster",)),
)
