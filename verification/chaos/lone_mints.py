"""A token that was minted without the store, and what becomes of it when a caller rejects it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from chaos.processes import Member
from chaos.stage import Inject, Scenario, Stage
from chaos.stores import STORE
from history.checker import Call

from support.fault_proxy import Hole

TEN_MINUTES: Final = 600.0
FLAPS: Final = 3
MOST_POSTS: Final = 2
"""The token that was minted alone, and its successor."""
SETTLED_AFTER: Final = 3.0
"""Seconds that callers ask on, so that a storm would show."""


def behind_a_flaky_link(ahead: float = 0.0) -> Inject:
    """One replica loses the store now and then and mints alone. The link is back, and a caller rejects that token."""

    async def inject(stage: Stage) -> None:
        cut_off, other, *_ = stage.chance.sample(stage.members, 2)
        async with _clock_ahead(stage, cut_off, ahead):
            audience, link = stage.cold(long=True), stage.rig.stores[cut_off.name]
            async with stage.fault(cut_off.name, outage=True):
                for _ in range(FLAPS):
                    link.hole = Hole.ALL
                    await asyncio.sleep(stage.chance.uniform(0.0, 0.2))
                    link.heal()
                    await asyncio.sleep(stage.chance.uniform(0.0, 0.2))
                link.hole = Hole.ALL
                alone = await stage.get(cut_off, audience)
                # The others have not heard of it: nothing may happen to them.
                await stage.callers.reject(other, audience, alone.generation)
                link.heal()
            await stage.reject(cut_off, audience, alone.generation)
            await _one_successor(stage, other, audience, alone)

    return inject


def rejected_and_forgotten(ahead: float = 0.0) -> Inject:
    """The store stops, a replica mints alone, that token is rejected, the store is emptied, a new replica starts."""

    async def inject(stage: Stage) -> None:
        old, newcomer, *_ = stage.chance.sample(stage.members, 2)
        (server, *_) = await stage.rig.topology.primaries()
        async with _clock_ahead(stage, old, ahead):
            audience = stage.cold(long=True)
            async with stage.fault(newcomer.name, crash=True):
                await newcomer.leave()
                async with stage.fault(STORE, stall=True):
                    server.stop()
                    alone = await stage.get(old, audience)
                    server.resume()
                await stage.reject(old, audience, alone.generation)
                async with stage.fault(STORE, lossy=True):
                    await stage.rig.topology.empty()
                await newcomer.start()
            await _one_successor(stage, newcomer, audience, alone)

    return inject


@asynccontextmanager
async def _clock_ahead(stage: Stage, member: Member, ahead: float) -> AsyncGenerator[None]:
    """The wall clock of this replica's host is wrong."""
    if not ahead:
        yield
        return
    async with stage.fault(member.name, crash=True):
        await member.leave()
        await member.start(skew=ahead)
    yield
    async with stage.fault(member.name, crash=True):
        await member.leave()
        await member.start()


async def _one_successor(stage: Stage, watcher: Member, audience: str, rejected: Call) -> None:
    """A watch at a replica that did not take the rejection needs a token; then callers at all of them do."""
    gone_at = time.time() + stage.rig.setup.revalidate + stage.rig.setup.slack
    async with stage.watched(watcher, audience):
        await stage.get(watcher, audience)
        calls = await stage.ask_for(SETTLED_AFTER, audience)
    posts = stage.posts(audience)
    stage.notes["posts"] = posts
    stage.expect(posts <= MOST_POSTS, f"{posts} POSTs after one rejection; {MOST_POSTS} at most")
    stage.expect(all(call.ok for call in calls), "some callers got no token")
    again = [call for call in calls if call.jti == rejected.jti and call.began > gone_at]
    stage.expect(not again, f"{len(again)} of {len(calls)} callers got the rejected token again")


SCENARIOS: Final = (
    Scenario("lone-flaky-link", behind_a_flaky_link(), ("single",)),
    Scenario("lone-flaky-link-clock", behind_a_flaky_link(TEN_MINUTES), ("single",)),
    Scenario("lone-forgotten", rejected_and_forgotten(), ("single",)),
    Scenario("lone-forgotten-clock", rejected_and_forgotten(TEN_MINUTES), ("single",)),
)
