"""The issuer is gone for the rest of a token's life, and the store with it: every call gets the token, to its end."""

import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median

import grpc
import pytest

from mintonce import Unavailable
from support.asking import Answer, Served, asking, start
from support.faulty_issuer import Fault, FaultyIssuer
from support.surroundings import claims, issuer_with_log, posts, smallest_settings
from support.topologies import Topology, single
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"
LIFETIME = 3.0
REVALIDATE = 1.0
STORE_DEADLINE = 0.25
"""Seconds: the default of redis.timeout."""
LEEWAY = 0.05 * LIFETIME
"""Seconds before its end from which on a token is served with a mark only (core.token.leeway)."""
PATIENCE = 1.0
"""Seconds that callers wait at most."""
ON_THE_WAY = 0.1
"""Seconds that an answer may take, also that of the store, which a reader counts into the token's life."""

Outage = Callable[[ExitStack, FaultyIssuer], None]


def fails(_: ExitStack, issuer: FaultyIssuer) -> None:
    issuer.fault = Fault(status=503)


def hangs(_: ExitStack, issuer: FaultyIssuer) -> None:
    issuer.fault = Fault(hang=True)


def is_gone(running: ExitStack, _: FaultyIssuer) -> None:
    running.close()  # from now on connections are refused


def stopped(store: Topology) -> None:
    os.kill(store.servers[0].pid, signal.SIGSTOP)


def killed(store: Topology) -> None:
    os.kill(store.servers[0].pid, signal.SIGKILL)


class Ordeal:
    """Two replicas that hold one token, an issuer and a store that can be taken away."""

    def __init__(self, stack: AsyncExitStack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        self.log = directory / "posts.jsonl"
        self.running = stack.enter_context(ExitStack())
        self.issuer = self.running.enter_context(issuer_with_log(self.log, lifetime=LIFETIME))

    async def begin(self) -> None:
        self.store = await self.stack.enter_async_context(single(self.directory / "store"))
        settings = smallest_settings(self.issuer, self.store.url)
        settings |= {"REVALIDATE_INTERVAL": f"{REVALIDATE}s", "MINT_TIMEOUT": "1s"}
        self.fleet: list[Served] = await start(self.stack, self.directory, settings, 2)
        self.token = (await self.fleet[0].get(AUDIENCE)).access_token
        assert (await self.fleet[1].get(AUDIENCE)).access_token == self.token

    @property
    def over_at(self) -> float:
        """When the issuer's own clock says that the token's life is over. Its `exp` is this."""
        over_at = float(posts(self.log)[0]["time"]) + LIFETIME
        assert abs(float(str(claims(self.token)["exp"])) - over_at) < ON_THE_WAY
        return over_at

    @property
    def due_until(self) -> float:
        """Until when each call must succeed: a life is counted from the moment before the POST was sent."""
        (minted,) = self.fleet[0].server.events("minted")
        return self.over_at - float(minted["seconds"]) - ON_THE_WAY

    async def endure(self) -> list[Answer]:
        """Ask both replicas until each has an error to give."""
        async with asking(self.fleet, AUDIENCE, PATIENCE) as answers:
            await wait_until(lambda: _last_two_failed(answers), timeout=LIFETIME + 15.0)
        return answers


def _last_two_failed(answers: list[Answer]) -> bool:
    return len(answers) > 1 and all(answer.error for answer in answers[-2:])


def check_served_to_the_end(ordeal: Ordeal, answers: list[Answer]) -> None:
    """Not one error before the end, not one token after it, and never another token."""
    early = [answer for answer in answers if answer.ended < ordeal.due_until]
    assert [answer.error for answer in early if answer.error] == []
    assert [answer for answer in answers if answer.token and answer.began > ordeal.over_at] == []
    assert {answer.token.access_token for answer in answers if answer.token} == {ordeal.token}


async def check_then_unavailable(ordeal: Ordeal) -> None:
    """A caller that waits long enough learns why, and when to try again."""
    for served in ordeal.fleet:
        with pytest.raises(Unavailable) as caught:
            await served.get(AUDIENCE, timeout=5.0)
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert caught.value.reason == "ISSUER_UNAVAILABLE"
        assert caught.value.retry_after
        assert caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("outage", [fails, hangs, is_gone])
async def test_without_an_issuer_all_calls_succeed_until_the_token_is_over(tmp_path: Path, outage: Outage) -> None:
    """Then UNAVAILABLE, with a reason and RetryInfo. The last calls before the end are marked degraded."""
    async with AsyncExitStack() as stack:
        ordeal = Ordeal(stack, tmp_path)
        await ordeal.begin()
        outage(ordeal.running, ordeal.issuer)
        answers = await ordeal.endure()
        check_served_to_the_end(ordeal, answers)
        await check_then_unavailable(ordeal)
    tokens = [(answer.began, answer.token.degraded) for answer in answers if answer.token]
    assert not tokens[0][1]
    assert all(degraded for began, degraded in tokens if began > ordeal.over_at - LEEWAY)


@pytest.mark.slow
async def test_a_patient_caller_gets_the_live_token_before_it_is_over(tmp_path: Path) -> None:
    """A call that began while the token lived is not kept waiting for an issuer that hangs until it has died."""
    async with AsyncExitStack() as stack:
        ordeal = Ordeal(stack, tmp_path)
        await ordeal.begin()
        hangs(ordeal.running, ordeal.issuer)
        async with asking(ordeal.fleet, AUDIENCE, timeout=5.0) as answers:
            await wait_until(lambda: any(answer.error for answer in answers), timeout=LIFETIME + 15.0)
        failed = next(answer for answer in answers if answer.error)
        assert failed.began > ordeal.due_until


@pytest.mark.parametrize("taken", [pytest.param(stopped, marks=pytest.mark.slow), killed])
async def test_without_issuer_and_store_it_is_the_same(tmp_path: Path, taken: Callable[[Topology], None]) -> None:
    """Marked degraded once the token's age cannot be checked; no read waits for the store; all heals by itself."""
    async with AsyncExitStack() as stack:
        ordeal = Ordeal(stack, tmp_path)
        await ordeal.begin()
        fails(ordeal.running, ordeal.issuer)
        taken(ordeal.store)
        answers = await ordeal.endure()
        check_served_to_the_end(ordeal, answers)
        await check_then_unavailable(ordeal)

        ordeal.issuer.fault = Fault()
        await ordeal.store.healed()
        async with asking(ordeal.fleet, AUDIENCE, PATIENCE) as later:
            await wait_until(lambda: _is_well(later), timeout=20.0)
        assert not [line for served in ordeal.fleet for line in served.server.events("internal_error")]
    began = answers[0].began
    old = [answer.token for answer in answers if answer.token and answer.began > began + REVALIDATE]
    assert old
    assert all(token.degraded for token in old)
    assert median(answer.ended - answer.began for answer in answers if answer.token) < STORE_DEADLINE


def _is_well(answers: list[Answer]) -> bool:
    """The last two are one token, which the fleet shares."""
    last = [answer.token for answer in answers[-2:]]
    return all(last) and len({token.access_token for token in last if token and not token.degraded}) == 1
