"""The holder of a lease dies or falls asleep, at each point around its POST."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from chaos.processes import Member
from chaos.stage import Inject, Scenario, Stage
from chaos.workload import Load

from mintonce_server.store.scripts import ACQUIRE, COMMIT, Script
from support.fault_proxy import Fate, Passing, Trap
from support.surroundings import claims

TRAPPED_WITHIN: Final = 5.0
CALLERS: Final = 8
"""At each of the other replicas."""
MOST_POSTS: Final = 2
GRACE: Final = 1.0
"""Seconds beyond the lease in which everybody must be answered."""

SetTrap = Callable[[Stage, Member, str], Trap]


def is_script(passing: Passing, script: Script, key_hash: str) -> bool:
    """Whether a command, or what a reply answers, is this script for this key."""
    words = passing.words
    return len(words) > 3 and words[1] in (script.sha.encode(), script.text.encode()) and key_hash.encode() in words[3]


def lease_on_its_way(stage: Stage, holder: Member, audience: str) -> Trap:
    """The store has granted the lease, the holder does not know yet."""
    key_hash = stage.rig.hash(audience)
    return stage.rig.stores[holder.name].trap(
        lambda passing: is_script(passing, ACQUIRE, key_hash) and b"LEASE" in (passing.reply or b"")
    )


def post_on_its_way(stage: Stage, holder: Member, audience: str) -> Trap:
    """The holder knows that it is its turn; the issuer has not heard of it."""
    asked = audience.encode()
    return stage.rig.issuers[holder.name].trap(lambda passing: passing.reply is None and asked in passing.raw)


def answer_on_its_way(stage: Stage, holder: Member, audience: str) -> Trap:
    """The issuer has minted; the holder has no answer yet."""
    return stage.rig.issuers[holder.name].trap(lambda passing: _is_answer(passing, audience))


def commit_on_its_way(stage: Stage, holder: Member, audience: str) -> Trap:
    """The holder has the token; the store does not."""
    key_hash = stage.rig.hash(audience)
    return stage.rig.stores[holder.name].trap(
        lambda passing: passing.reply is None and is_script(passing, COMMIT, key_hash)
    )


def committed_on_its_way(stage: Stage, holder: Member, audience: str) -> Trap:
    """The store has the token; the holder does not know that it does."""
    key_hash = stage.rig.hash(audience)
    return stage.rig.stores[holder.name].trap(
        lambda passing: is_script(passing, COMMIT, key_hash) and b"OK" in (passing.reply or b"")
    )


def _is_answer(passing: Passing, audience: str) -> bool:
    body = (passing.reply or b"").partition(b"\r\n\r\n")[2]
    with suppress(ValueError, KeyError, TypeError):  # another key's, or no token
        return bool(claims(json.loads(body)["access_token"])["aud"] == audience)
    return False


async def catch(stage: Stage, set_trap: SetTrap) -> tuple[Member, str, Trap, "asyncio.Task[object]"]:
    """A replica in the middle of a key's first mint: who, which key, what holds it up, the call behind it."""
    # A long life: else the time until a killed replica is back counts, too, and the key is refreshed meanwhile.
    holder, audience = stage.chance.choice(stage.members), stage.cold(long=True)
    trap = set_trap(stage, holder, audience)
    first: asyncio.Task[object] = asyncio.create_task(stage.get(holder, audience, 5.0), name="first caller")
    async with asyncio.timeout(TRAPPED_WITHIN):
        await trap.sprung.wait()
    return holder, audience, trap, first


def killed(set_trap: SetTrap, most_posts: int = MOST_POSTS) -> Inject:
    """kill -9 when the trap is sprung. Callers at the other replicas wait for the same key."""

    async def inject(stage: Stage) -> None:
        holder, audience, trap, first = await catch(stage, set_trap)
        others = [member for member in stage.members if member is not holder]
        waiting = [asyncio.create_task(stage.get(member, audience, 8.0), name="waiting") for member in others * CALLERS]
        await asyncio.sleep(stage.chance.uniform(0.0, 0.2))
        async with stage.fault(holder.name, crash=True):
            killed_at = time.time()
            await holder.kill()
            trap.let_go(Fate.CUT)
            calls = await asyncio.gather(*waiting)
            await first
            await holder.start()
        waited = max(call.ended for call in calls) - killed_at
        stage.notes |= {"posts": stage.posts(audience), "answered_after": waited}
        stage.expect(all(call.ok for call in calls), f"of {len(calls)} callers at other replicas some got no token")
        stage.expect(stage.posts(audience) <= most_posts, f"{stage.posts(audience)} POSTs; at most {most_posts}")
        allowed = stage.rig.setup.lease + GRACE
        stage.expect(waited <= allowed, f"the last caller was answered {waited:.2f} s after the kill, not {allowed} s")

    return inject


async def stopped_past_its_lease(stage: Stage) -> None:
    """SIGSTOP while the answer is on its way, SIGCONT when another has minted: the late commit must not count."""
    holder, audience, trap, first = await catch(stage, answer_on_its_way)
    others = [member for member in stage.members if member is not holder]
    async with stage.fault(holder.name, stall=True):
        holder.stop()
        trap.let_go()
        calls = await asyncio.gather(*(stage.get(member, audience, 8.0) for member in others * CALLERS))
        holder.resume()
        await first
    stage.notes["posts"] = stage.posts(audience)
    stage.expect(all(call.ok for call in calls), "some callers at other replicas got no token")
    stage.expect(stage.posts(audience) <= MOST_POSTS, f"{stage.posts(audience)} POSTs; at most {MOST_POSTS}")
    after = await stage.ask_all(audience)
    newest = max(call.generation for call in calls)
    stage.expect(all(call.generation >= newest for call in after), "a generation went back after the holder woke up")


LIGHT: Final = Load(callers=4)
SCENARIOS: Final = (
    Scenario("kill-after-acquire", killed(lease_on_its_way, 1), ("single",), load=LIGHT, keys=2),
    Scenario("kill-before-post", killed(post_on_its_way, 1), load=LIGHT, keys=2),
    Scenario("kill-before-answer", killed(answer_on_its_way), load=LIGHT, keys=2),
    Scenario("kill-before-commit", killed(commit_on_its_way), ("single",), load=LIGHT, keys=2),
    Scenario("kill-after-commit", killed(committed_on_its_way, 1), ("single",), load=LIGHT, keys=2),
    Scenario("stop-past-lease", stopped_past_its_lease, load=LIGHT, keys=2),
)
