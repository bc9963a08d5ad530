"""The issuer fails in every way that it can. Most scenarios have keys of their own, and can go on at the same time."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from chaos.guards import NARROW, READ
from chaos.rig import Rig
from chaos.stage import Inject, Scenario, Stage
from chaos.workload import Load
from history.checker import Call

from support.faulty_issuer import Fault

TIMES: Final = 3
"""Callers at each replica."""
SHORTEST_BACK_OFF: Final = 1.0
STOOD_STILL: Final = 0.1
REPEATED_UNTIL: Final = 0.1
"""Seconds before the end of a token at which its issuer has another one."""
QUIET: Final = Load(callers=0, watches=0)


def failing(status: str, fault: Fault, *, recovers: bool = True) -> Inject:
    """All callers of a cold key get the same status, with a reason and when to try again, for one POST."""
    return failing_as(status, lambda: fault, recovers=recovers)


def failing_as(status: str, fault: Callable[[], Fault], *, recovers: bool = True) -> Inject:
    """As `failing`, with a fault that is made when it begins."""

    async def inject(stage: Stage) -> None:
        audience = stage.cold(recovers=recovers)
        began = time.monotonic()
        async with stage.fault("issuer"):
            calls = await _asked_under(stage, audience, fault())
        windows = 1 + int((time.monotonic() - began) / SHORTEST_BACK_OFF)
        got = {call.status for call in calls}
        stage.expect(got == {status}, f"callers got {sorted(got)}, not {status}")
        stage.expect(all(call.reason for call in calls), "some were not told why")
        stage.expect(all(call.retry_after is not None for call in calls), "some were not told when to try again")
        stage.expect(stage.posts(audience) <= windows, f"{stage.posts(audience)} POSTs within {windows} back-offs")

    return inject


def fine(fault: Fault) -> Inject:
    """Odd, but a token: all get it, for one POST."""

    async def inject(stage: Stage) -> None:
        audience = stage.cold()
        async with stage.fault("issuer"):
            calls = await _asked_under(stage, audience, fault)
        stage.expect(all(call.ok for call in calls), f"callers got {sorted({call.status for call in calls})}")
        stage.expect(stage.posts(audience) == 1, f"{stage.posts(audience)} POSTs for one generation")

    return inject


async def _asked_under(stage: Stage, audience: str, fault: Fault) -> list[Call]:
    await stage.rig.issuer.have(replace(fault, audience=audience))
    try:
        return await stage.ask_all(audience, TIMES, deadline=8.0)
    finally:
        await stage.rig.issuer.mend(audience)


async def too_short(stage: Stage) -> None:
    """Tokens that live a second are given to those who wait, and cost at most a POST a second."""
    audience = stage.cold()
    async with stage.fault("issuer"):
        await stage.rig.issuer.have(Fault(audience=audience, expires_in="1"))
        began = time.monotonic()
        for _ in range(5):
            await stage.ask_all(audience, 2)
            await asyncio.sleep(0.4)
        seconds = time.monotonic() - began
        await stage.rig.issuer.mend(audience)
    posts = stage.posts(audience)
    stage.notes["posts_a_second"] = posts / seconds
    stage.expect(posts <= seconds + 2, f"{posts} POSTs within {seconds:.1f} s")


async def same_token_again(stage: Stage) -> None:
    """After a rejection the issuer gives the rejected token once more: it is served on, marked, and nothing loops."""
    audience = stage.cold()
    member = stage.chance.choice(stage.members)
    first = await stage.get(member, audience)
    async with stage.fault("issuer"):
        await stage.rig.issuer.have(Fault(audience=audience, repeat=True))
        rejected = await stage.callers.reject(member, audience, first.generation)
        stage.expect(rejected.was_current is True, "the rejection was not taken")
        calls = await stage.ask_all(audience, TIMES)
        again = await asyncio.gather(
            *(stage.callers.reject(one, audience, calls[0].generation) for one in stage.members)
        )
        calls += await stage.ask_all(audience, TIMES)
        posts = stage.posts(audience)
        await stage.rig.issuer.mend(audience)
    served = sum(call.jti == first.jti and call.degraded for call in calls)
    stage.expect(served == len(calls), f"{len(calls) - served} of {len(calls)} callers got something else, or no mark")
    stage.expect(not any(call.was_current for call in again), "it was rejected a second time within the interval")
    stage.expect(posts == 2, f"{posts} POSTs; one before and one after the rejection were expected")


async def same_token_near_its_end(stage: Stage) -> None:
    """Asked for a successor, the issuer repeats the live token: it is served to its end, and then replaced at once."""
    audience, began = stage.cold(), time.time()
    await stage.ask_all(audience)
    async with stage.fault("issuer"):
        await stage.rig.issuer.have(Fault(audience=audience, repeat=True))
        ends = minted(stage.rig, audience)[-1] + stage.rig.setup.lifetime
        calls = await stage.ask_for(ends - time.time() - REPEATED_UNTIL, audience)
        repeats = stage.posts(audience) - 1
        await stage.rig.issuer.mend(audience)
        calls += await stage.ask_for(ends - time.time() + 1.0, audience)
    stage.notes["repeats"] = repeats
    if stage.rig.pulse.worst(began) > STOOD_STILL:
        return  # a replica that stood still when it read the token counts it as over by as much earlier
    stage.expect(repeats <= 1, f"{repeats} POSTs for a successor, while the issuer only repeated the token")
    failed = [call for call in calls if not call.ok]
    stage.expect(not failed, f"{len(failed)} of {len(calls)} calls failed, though a token was to be had all the time")


async def grants_more(stage: Stage) -> None:
    """The issuer grants scopes that no call asked for: each caller gets what its own rule covers, or nothing."""
    wide, read = stage.cold(), stage.cold()
    async with stage.fault("issuer"):
        await stage.rig.issuer.have(Fault(audience=wide, scope=f"{READ} admin:all"))
        await stage.rig.issuer.have(Fault(audience=read, scope=READ))
        for _ in range(2):  # from the mint, and from memory
            beyond = [*await stage.ask_all(wide), *await stage.ask_all(read, caller=NARROW)]
            covered = await stage.ask_all(read)
            told = {call.status for call in beyond}
            stage.expect(told == {"PERMISSION_DENIED"}, f"callers without the right were told {sorted(told)}")
            stage.expect(all(call.granted == (READ,) for call in covered), "callers with the right got something else")
        for audience in (wide, read):
            await stage.rig.issuer.mend(audience)
            await stage.callers.rotate(stage.members[0], audience)


async def gone(stage: Stage) -> None:
    """The issuer fails for the rest of a token's life: all serve it to its end, and then say an honest UNAVAILABLE."""
    audience = stage.cold()
    async with stage.fault("issuer"):
        await _until_the_end(stage, audience)
        await stage.rig.issuer.mend(audience)


async def gone_with_the_store(stage: Stage) -> None:
    """The same with the store stopped too."""
    audience = stage.cold()
    (server, *_) = await stage.rig.topology.primaries()
    try:
        async with stage.fault("store", stall=True):
            await _until_the_end(stage, audience, server.stop)
    finally:
        server.resume()
        await stage.rig.issuer.mend(audience)


async def _until_the_end(stage: Stage, audience: str, also: Callable[[], None] = lambda: None) -> None:
    await stage.ask_all(audience)
    before_fault = minted(stage.rig, audience)
    # A replica counts a token's life from the moment in which it began to ask for it: never too long.
    first_end = stage.mints_began(audience) + stage.rig.setup.lifetime
    last_end = before_fault[-1] + stage.rig.setup.lifetime
    await stage.rig.issuer.have(Fault(audience=audience, status=503))
    also()
    calls: list[Call] = []
    while time.time() < last_end + 1.5:
        calls += await stage.ask_all(audience, deadline=2.0)
        await asyncio.sleep(0.05)
    before = [call for call in calls if call.ended < first_end - 0.02]
    after = [call for call in calls if call.began > last_end + 0.05]
    served = sum(call.ok for call in before)
    honest = sum(call.status == "UNAVAILABLE" and call.retry_after is not None for call in after)
    stage.notes |= {
        "calls_in_life": len(before), "served_in_life": served, "calls_after": len(after), "honest": honest
    }  # fmt: skip
    stage.expect(len(before) > 0 and len(after) > 0, "too few calls to say anything")
    stage.expect(
        served == len(before),
        f"{len(before) - served} of {len(before)} calls failed while the token lived: {_told(before)}",
    )
    stage.expect(
        honest == len(after),
        f"after its end {len(after) - honest} of {len(after)} calls were not told so: {_told(after)}",
    )
    stage.expect(minted(stage.rig, audience) == before_fault, "something was minted though the issuer was down")


def _told(calls: Iterable[Call]) -> Counter[str]:
    """How calls ended, and how many did so."""
    return Counter(f"{call.status} {call.reason} {call.retry_after}" for call in calls)


def minted(rig: Rig, audience: str) -> list[float]:
    """When the issuer minted a token for this key, by its own log."""
    return [post.time for post in rig.issuer.posts_so_far() if post.audience == audience and post.jti]


async def killed(stage: Stage) -> None:
    """The issuer's process dies, and comes back."""
    async with stage.fault("issuer"):
        await stage.rig.issuer.kill()
        await asyncio.sleep(1.5)
        await stage.rig.issuer.start()


async def frozen(stage: Stage) -> None:
    """It is stopped for a while: connections stay, nothing is answered."""
    async with stage.fault("issuer"):
        stage.rig.issuer.stop()
        await asyncio.sleep(1.5)
        stage.rig.issuer.resume()


def _in_two_seconds() -> Fault:
    return Fault(status=429, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True))


def _alone(name: str, inject: Inject) -> Scenario:
    """Its trouble is the issuer's, and so that of all keys."""
    return Scenario(f"issuer-{name}", inject, load=QUIET, keys=0)


def _beside(name: str, inject: Inject) -> Scenario:
    return Scenario(f"issuer-{name}", inject, alone=False, load=QUIET, keys=0)


OVERSIZE: Final = 3_000_000
REFUSED: Final = '{"error": "invalid_scope"}'
SCENARIOS: Final = (
    _alone("hang", failing("UNAVAILABLE", Fault(hang=True))),
    _alone("drip", failing("UNAVAILABLE", Fault(drip=0.2))),
    _beside("400", failing("FAILED_PRECONDITION", Fault(status=400, body=REFUSED), recovers=False)),
    _beside("401", failing("FAILED_PRECONDITION", Fault(status=401), recovers=False)),
    _beside("403", failing("FAILED_PRECONDITION", Fault(status=403), recovers=False)),
    _alone("429-seconds", failing("RESOURCE_EXHAUSTED", Fault(status=429, retry_after="2"))),
    _alone("429-date", failing_as("RESOURCE_EXHAUSTED", _in_two_seconds)),
    _alone("500", failing("UNAVAILABLE", Fault(status=500))),
    _alone("503", failing("UNAVAILABLE", Fault(status=503, retry_after="1"))),
    _beside("garbage", failing("UNAVAILABLE", Fault(body="<html>a login page</html>"))),
    _beside("oversize", failing("UNAVAILABLE", Fault(padding=OVERSIZE))),
    _beside("expires-nan", failing("UNAVAILABLE", Fault(expires_in="NaN"))),
    _beside("expires-bool", failing("UNAVAILABLE", Fault(expires_in="true"))),
    _beside("expires-negative", fine(Fault(expires_in="-5"))),
    _beside("expires-missing", fine(Fault(expires_in=""))),
    _beside("expires-string", fine(Fault(expires_in='"6"'))),
    _beside("expires-huge", fine(Fault(expires_in="99999999999"))),
    _beside("expires-short", too_short),
    _beside("same-token", same_token_again),
    _beside("same-token-at-end", same_token_near_its_end),
    _beside("grants-more", grants_more),
    _alone("gone", gone),
    Scenario("issuer-and-store-gone", gone_with_the_store, ("single",), load=QUIET, keys=0),
    Scenario("issuer-killed", killed),
    Scenario("issuer-frozen", frozen),
)
