"""A replica is killed or stopped at the worst moment: the others go on, and it does no harm when it comes back."""

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mintonce import MintonceError
from mintonce_dev.valkey import EmbeddedValkey
from support.asking import Answer, start
from support.faulty_issuer import Fault, FaultyIssuer
from support.servers import looking_into
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"
LEASE = 3.0
"""Seconds: the default of lease_ttl."""
CALLERS = 20


async def test_a_killed_lease_holder_costs_one_post_and_one_lease(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """kill -9 between POST and commit: all callers elsewhere are answered within the lease and a second."""
    issuer.fault = Fault(latency=30.0, times=1)
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings | {"LOG_LEVEL": "debug"}, 3)
        calls = {
            served: [asyncio.create_task(served.ask(AUDIENCE, timeout=15.0)) for _ in range(CALLERS)]
            for served in fleet
        }
        await wait_until(lambda: issuer.posts == 1)
        await wait_until(lambda: any(served.server.events("mint_started") for served in fleet))
        (holder,) = [served for served in fleet if served.server.events("mint_started")]
        killed_at = time.time()
        await holder.server.stop(signal.SIGKILL)
        doomed = await asyncio.gather(*calls.pop(holder))
        answers = [answer for asked in calls.values() for answer in await asyncio.gather(*asked)]
    assert all(isinstance(answer.outcome, MintonceError) for answer in doomed)
    assert len({token.access_token for answer in answers if (token := answer.token)}) == 1
    assert [answer.error for answer in answers if answer.error] == []
    assert max(answer.ended for answer in answers) < killed_at + LEASE + 1.0
    assert issuer.posts == 2


@pytest.mark.slow
async def test_a_replica_that_was_stopped_does_not_serve_what_was_rejected_meanwhile(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer, valkey: EmbeddedValkey
) -> None:
    """Calls that lay waiting are the first thing it sees when it goes on; the wake message never reaches it."""
    async with AsyncExitStack() as stack:
        one, sleeper = await start(stack, tmp_path, settings | {"REVALIDATE_INTERVAL": "1s"}, 2)
        rejected = await one.get(AUDIENCE)
        assert (await sleeper.get(AUDIENCE)).access_token == rejected.access_token
        os.kill(sleeper.server.process.pid, signal.SIGSTOP)
        try:
            async with looking_into(valkey.url) as command:
                await command("CLIENT", "KILL", "TYPE", "pubsub")
            assert await one.client.reject("default", AUDIENCE, token=rejected)
            calls = [asyncio.create_task(sleeper.ask(AUDIENCE)) for _ in range(CALLERS)]
            successor = await one.get(AUDIENCE)
            await asyncio.sleep(1.2)  # the bound itself: time that a process does not see is what this is about
        finally:
            os.kill(sleeper.server.process.pid, signal.SIGCONT)
        answers: list[Answer] = await asyncio.gather(*calls)
    assert {answer.token and answer.token.access_token for answer in answers} == {successor.access_token}
    assert issuer.posts == 2


@pytest.mark.slow
async def test_a_lease_holder_that_was_stopped_comes_back_too_late(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """Stopped past its lease in the middle of the POST: one more POST, and afterwards all serve one token."""
    issuer.fault = Fault(latency=2.0, times=1)
    async with AsyncExitStack() as stack:
        sleeper, other = await start(stack, tmp_path, settings | {"LEASE_TTL": "1s"}, 2)
        late = asyncio.create_task(sleeper.ask(AUDIENCE))
        await wait_until(lambda: issuer.posts == 1)
        os.kill(sleeper.server.process.pid, signal.SIGSTOP)
        try:
            token = await other.get(AUDIENCE)
        finally:
            os.kill(sleeper.server.process.pid, signal.SIGCONT)
        answer = await late
        again = await sleeper.get(AUDIENCE)
    assert answer.token
    assert (answer.token.generation, again.generation) == (token.generation, token.generation)
    assert again.access_token == token.access_token
    assert issuer.posts == 2
    assert [line["refusal"] for line in sleeper.server.events("commit_refused")] == ["STALE"]
