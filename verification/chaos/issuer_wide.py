"""Trouble of the whole issuer, while many cold keys are asked for at all replicas: few POSTs, and soon well again."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Final

from chaos import stores
from chaos.issuers import QUIET
from chaos.journals import steps_of
from chaos.stage import Inject, Scenario, Stage
from history.checker import Call
from history.logs import names_of

from support.faulty_issuer import Fault
from support.waiting import wait_until

KEYS: Final = 16
PAUSES: Final = ("2", "1.5", "2.25", "1.75")
"""Values of Retry-After."""
FRESH: Final = 5.0
"""Seconds for which a success of the issuer counts: then POSTs begin together."""
QUIET_WITHIN: Final = 30.0
UNDER_WAY: Final = 0.5
"""Seconds from the second failure to the end of the POSTs that began before it was known."""
EARLY: Final = 0.01
SERVED_WITHIN: Final = 2.0
BETWEEN: Final = 0.1
THROTTLED: Final = 429


def limited(*, quiet: bool) -> Inject:
    """A 429 for all audiences. `quiet`: the issuer has not answered for long; else POSTs may meet it together."""

    async def inject(stage: Stage) -> None:
        audiences = [stage.cold(long=True) for _ in range(KEYS)]
        pause = stage.chance.choice(PAUSES)
        await (_no_success_counts(stage) if quiet else stage.ask_all(stage.cold(long=True)))
        began = time.time()
        async with stage.fault("issuer"):
            await stage.rig.issuer.have(Fault(status=THROTTLED, retry_after=pause))
            lasts = float(pause) * stage.chance.uniform(0.8, 2.2)
            calls = await _asked_until(stage, audiences, began + lasts)
            await stage.rig.issuer.mend()
        mended = time.time()
        waited = await _until_all_served(stage, audiences)
        refused = [post.time for post in stage.rig.issuer.posts_so_far() if _is_limit(post.status, post.time, began)]
        stage.notes["refused"] = len(refused)
        reasons = {call.reason for call in calls if not call.ok}
        stage.expect(reasons == {"ISSUER_THROTTLED"}, f"callers were told {sorted(reasons)}")
        _expect_pauses(stage, refused, float(pause), 2 if quiet else KEYS)
        _expect_served(stage, waited, max(mended, refused[-1] + float(pause)), 0.0)

    return inject


def _is_limit(status: int, moment: float, began: float) -> bool:
    return status == THROTTLED and moment >= began - EARLY


def _expect_pauses(stage: Stage, refused: Sequence[float], pause: float, together: int) -> None:
    """At most so many together until the second failure is known; then two each time when the time is over."""
    if len(refused) < 2:
        stage.broken.append(f"{len(refused)} POSTs met the limit: nothing was tested")
        return
    known = refused[1] + UNDER_WAY
    salvo = [moment for moment in refused if moment <= known]
    stage.notes["together"] = len(salvo)
    stage.expect(len(salvo) <= together, f"{len(salvo)} POSTs met the limit together; {together} at most")
    # A key that failed and another one may each find out: so the last but one counts.
    later = [salvo[-1], salvo[-1], *refused[len(salvo) :]]
    for before, after in zip(later, later[2:], strict=False):
        wanted = f"the issuer had asked for {pause} s at {before:.3f}"
        stage.expect(after - before >= pause - EARLY, f"a POST at {after:.3f}, though {wanted}")


async def away(stage: Stage) -> None:
    """The issuer fails for all keys, and in the middle the store goes away too."""
    held, audiences = stage.cold(long=True), [stage.cold(long=True) for _ in range(KEYS)]
    await stage.ask_all(held)
    await _no_success_counts(stage)
    how = stage.chance.choice(("503", "refused", "hanging"))
    store = stage.chance.choice((stores.killed, stores.stopped))
    began = time.time()
    async with stage.fault("issuer"), _out_of_order(stage, how):
        asking = asyncio.create_task(_asked_until(stage, [held, *audiences], None), name="asking")
        try:
            await asyncio.sleep(stage.chance.uniform(1.0, 2.5))
            lost = time.time()
            await store(stage)
            found = time.time()
            await asyncio.sleep(stage.chance.uniform(1.5, 2.5))
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        ended = time.time()
    back = time.time()
    waited = await _until_all_served(stage, audiences)
    alone = len(stage.members) * _tries(found - lost + stage.rig.setup.slack)
    allowed = _tries(ended - began) + 2 + alone
    steps = steps_of(stage.members, names_of(audiences, stage.rig.hasher))
    tries = sum(step.event == "mint_started" and began <= step.time <= ended for step in steps)
    stage.notes |= {"tries": tries, "allowed": allowed}
    stage.expect(tries <= allowed, f"{tries} POSTs in {ended - began:.1f} s of {how}; {allowed} at most")
    failed = [call for call in stage.callers.calls if call.audience == held and not call.ok]
    stage.expect(not failed, f"{len(failed)} calls for a live token failed")
    # A POST that hangs is given up only at its own deadline.
    _expect_served(stage, waited, back, stage.rig.setup.mint if how == "hanging" else 0.0)


def _tries(seconds: float) -> int:
    """Two find out, and then one goes each second at the most; a hanging one is known only later."""
    return 3 + int(seconds)


@asynccontextmanager
async def _out_of_order(stage: Stage, how: str) -> AsyncGenerator[None]:
    issuer = stage.rig.issuer
    if how == "refused":
        await issuer.kill()
    else:
        await issuer.have(Fault(status=503) if how == "503" else Fault(hang=True))
    try:
        yield
    finally:
        await (issuer.start() if how == "refused" else issuer.mend())


async def _no_success_counts(stage: Stage) -> None:
    """The last token is older than that."""

    def quiet_for() -> float:
        return time.time() - max((post.time for post in stage.rig.issuer.posts_so_far() if post.jti), default=0.0)

    await wait_until(lambda: quiet_for() > FRESH, timeout=QUIET_WITHIN)


async def _ask(stage: Stage, audiences: Sequence[str]) -> list[Call]:
    return list(chain(*await asyncio.gather(*(stage.ask_all(audience, deadline=3.0) for audience in audiences))))


async def _asked_until(stage: Stage, audiences: Sequence[str], ends: float | None) -> list[Call]:
    """Again and again; until it is cancelled if there is no end."""
    calls: list[Call] = []
    while ends is None or time.time() < ends:
        calls += await _ask(stage, audiences)
        await asyncio.sleep(BETWEEN)
    return calls


async def _until_all_served(stage: Stage, audiences: Sequence[str]) -> dict[str, float]:
    """When each key was served at all replicas for the first time."""
    served: dict[str, float] = {}
    ends = time.monotonic() + QUIET_WITHIN
    while len(served) < len(audiences) and time.monotonic() < ends:
        missing = [audience for audience in audiences if audience not in served]
        for audience, calls in zip(
            missing, await asyncio.gather(*(stage.ask_all(audience, deadline=3.0) for audience in missing)), strict=True
        ):
            if all(call.ok for call in calls):
                served[audience] = max(call.ended for call in calls)
        await asyncio.sleep(BETWEEN)
    return served


def _expect_served(stage: Stage, served: dict[str, float], over: float, more: float) -> None:
    """Within two seconds, and `more`."""
    bound = SERVED_WITHIN + more + stage.rig.setup.slack
    slowest = max(served.values(), default=over) - over
    stage.notes["all_served_after"] = slowest
    keys = sum(audience.find(".cold-") > 0 for audience in stage.audiences)
    stage.expect(len(served) >= KEYS, f"{KEYS - len(served)} of {keys} keys were never served again")
    stage.expect(slowest <= bound, f"the last key was served {slowest:.2f} s after the trouble; {bound:.1f} s at most")


SCENARIOS: Final = (
    Scenario("issuer-limit", limited(quiet=True), load=QUIET, keys=0),
    Scenario("issuer-limit-together", limited(quiet=False), load=QUIET, keys=0),
    Scenario("issuer-away", away, ("single",), load=QUIET, keys=0),
)
