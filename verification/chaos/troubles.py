"""Callers that hang up or reject without end, and replicas whose wall clock is wrong."""

import asyncio
from typing import Final

from chaos.crashes import TRAPPED_WITHIN, answer_on_its_way
from chaos.stage import Inject, Scenario, Stage
from chaos.workload import Load

from support.faulty_issuer import Fault

STORM: Final = 240
HOUR: Final = 3600.0


async def cancellations(stage: Stage) -> None:
    """Hundreds of callers of a cold key hang up while it is minted. The mint goes on, for those who stay."""
    audience = stage.cold()
    async with stage.fault("callers"):
        await stage.rig.issuer.have(Fault(audience=audience, latency=0.8))
        calls = [
            asyncio.create_task(stage.get(stage.chance.choice(stage.members), audience), name="caller")
            for _ in range(STORM)
        ]
        for call in calls:
            await asyncio.sleep(stage.chance.uniform(0.0, 0.004))
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        stayed = await stage.ask_all(audience)
        await stage.rig.issuer.mend(audience)
    stage.notes["hung_up"] = sum(call.cancelled() for call in calls)
    stage.expect(all(call.ok for call in stayed), "those who stayed got no token")
    stage.expect(stage.posts(audience) == 1, f"{stage.posts(audience)} POSTs for one generation")


async def one_rejection_many_times(stage: Stage) -> None:
    """Everybody who got a token rejects it, at all replicas, some late: at most one mint comes of it."""
    audience = stage.cold()
    (first, *_) = await stage.ask_all(audience)
    async with stage.fault("callers"):
        calls = [
            stage.callers.reject(stage.chance.choice(stage.members), audience, first.generation) for _ in range(80)
        ]
        await asyncio.gather(*calls)
        after = await stage.ask_all(audience, 5)
        await asyncio.sleep(stage.rig.setup.min_rotation)
        late = await stage.callers.reject(stage.members[0], audience, first.generation)
    stage.expect(all(call.ok and call.generation > first.generation for call in after), "no successor for some")
    stage.expect(stage.posts(audience) == 2, f"{stage.posts(audience)} POSTs for one rejected generation")
    successor = {call.generation for call in after}
    stage.expect(late.ok, f"a late rejection got {late.status} {late.reason}")
    kept = {call.generation for call in await stage.ask_all(audience)}
    stage.expect(kept == successor, "a late rejection of the old generation took the new one away")


async def rejected_in_flight(stage: Stage) -> None:
    """A caller rejects the current token while its successor is minted: begun too early, that must not count."""
    audience = stage.cold()
    (first, *_) = await stage.ask_all(audience)
    holder, other, *_ = stage.chance.sample(stage.members, 2)
    trap = answer_on_its_way(stage, holder, audience)
    async with stage.fault("callers"):
        rotating = asyncio.create_task(stage.callers.rotate(holder, audience), name="rotation")
        async with asyncio.timeout(TRAPPED_WITHIN):
            await trap.sprung.wait()
        in_flight = stage.jtis(audience)[-1]
        await stage.callers.reject(other, audience, first.generation)
        trap.let_go()
        await rotating
        after = await stage.ask_all(audience, 3)
    stage.notes["posts"] = stage.posts(audience)
    stage.expect(
        stage.posts(audience) <= 3, f"{stage.posts(audience)} POSTs; the first, the refused one, its successor"
    )
    early = [call for call in after if call.jti in (in_flight, first.jti)]
    stage.expect(not early, f"{len(early)} of {len(after)} callers got a token that was begun before the rejection")


async def rejections_without_end(stage: Stage) -> None:
    """Callers reject whatever they get: the quota at the issuer stays safe. The tokens would live long."""
    audience = stage.cold(long=True)
    async with stage.fault("callers"):
        began = asyncio.get_running_loop().time()
        for _ in range(25):
            for call in await stage.ask_all(audience):
                if call.ok:
                    await stage.callers.reject(stage.chance.choice(stage.members), audience, call.generation)
            await asyncio.sleep(0.1)
        seconds = asyncio.get_running_loop().time() - began
    allowed = 2 + int(seconds / stage.rig.setup.min_rotation)
    stage.notes["posts"] = stage.posts(audience)
    stage.expect(stage.posts(audience) <= allowed, f"{stage.posts(audience)} POSTs in {seconds:.1f} s, not {allowed}")


def wall_clock(ahead: float) -> Inject:
    """One replica's is wrong; it mints, serves, and goes through an outage of the store, like all the others."""

    async def inject(stage: Stage) -> None:
        member = stage.chance.choice(stage.members)
        async with stage.fault(member.name, crash=True):
            await member.leave()
            await member.start(skew=ahead)
        minted = await stage.get(member, stage.cold())
        others = await stage.ask_all(stage.audiences[-1])
        stage.expect({call.jti for call in others} == {minted.jti}, "the fleet does not share its token")
        if stage.rig.setup.topology == "single":
            (server, *_) = await stage.rig.topology.primaries()
            async with stage.fault("store", stall=True):
                server.stop()
                alone = stage.cold()
                await stage.get(member, alone)
                await asyncio.sleep(0.5)
                server.resume()
            await stage.ask_all(alone)
        await asyncio.sleep(1.0)
        async with stage.fault(member.name, crash=True):
            await member.leave()
            await member.start()

    return inject


BUSY_REJECTING: Final = Load(callers=8, rejects=0.05)
SCENARIOS: Final = (
    Scenario("cancellations", cancellations),
    Scenario("reject-storm", one_rejection_many_times),
    Scenario("reject-in-flight", rejected_in_flight),
    Scenario("reject-loop", rejections_without_end, load=BUSY_REJECTING),
    Scenario("clock-ahead", wall_clock(HOUR)),
    Scenario("clock-behind", wall_clock(-HOUR)),
)
