"""The token endpoint while a token is not there: it is on its way, about to end, or the issuer is in trouble."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from support.clocks import SkippingClock
from support.door import OPTIONS, Reply, asked, form
from support.guarded_door import guarded_door
from support.scripted_issuer import refused, unavailable
from support.waiting import wait_until


@pytest.mark.parametrize("version", ["1", "1.0"])
async def test_a_hundred_at_once_cost_one_mint(version: str) -> None:
    """All of them wait for the same POST."""
    async with guarded_door() as guarded:
        guarded.bench.issuer.gate.clear()
        sent = form(asked(guarded.keys["billing"])).replace(
            b"HTTP/1.1", b"HTTP/1.0" if version == "1.0" else b"HTTP/1.1"
        )
        asking = [asyncio.create_task(guarded.opened.send(sent)) for _ in range(100)]
        await guarded.bench.issuer.asked.wait()
        guarded.bench.issuer.gate.set()
        replies: list[Reply] = list(await asyncio.gather(*asking))
        assert len({reply.said["access_token"] for reply in replies}) == 1
        assert guarded.bench.issuer.mints == 1


async def test_a_live_token_is_served_while_the_issuer_hangs() -> None:
    """After 0.3 s and not after the deadline, though it has less left than is wanted; and told as it is."""
    clock = SkippingClock(unix=time.time() - time.monotonic())
    async with guarded_door(replace(OPTIONS, min_ttl=90.0), clock=clock) as guarded:
        guarded.bench.issuer.lifetime = 100.0
        key = guarded.keys["billing"]
        first = await guarded.opened.ask(key)
        guarded.bench.issuer.gate.clear()
        for left in (40, 10, 3):
            guarded.bench.clock.advance(guarded.left - left)
            async with asyncio.timeout(2.0):
                reply = await guarded.opened.ask(key)
            assert reply.said["access_token"] == first.said["access_token"]
            assert left - 2 <= reply.said["expires_in"] < left
        guarded.bench.issuer.gate.set()
        assert guarded.bench.issuer.mints == 2


async def test_a_token_that_is_about_to_end_is_not_served() -> None:
    """It would end on the way. The successor is a second away, or trouble is."""
    async with guarded_door() as guarded:
        guarded.bench.issuer.lifetime = 100.0
        key = guarded.keys["billing"]
        assert (await guarded.opened.ask(key)).status == 200
        guarded.bench.issuer.fails = unavailable
        guarded.bench.clock.advance(98.5)
        reply = await guarded.opened.ask(key)
        assert (reply.status, reply.error, reply.headers["retry-after"]) == (503, "temporarily_unavailable", "1")
        assert "access_token" not in reply.said
        guarded.bench.issuer.fails = None
        guarded.bench.clock.advance(60.0)
        assert (await guarded.opened.ask(key)).status == 200


async def test_of_a_cold_key_the_answer_comes_before_the_deadline() -> None:
    """While the issuer hangs: below the time-outs of libraries, as an error that says when to come back."""
    async with guarded_door(replace(OPTIONS, deadline=0.3)) as guarded:
        guarded.bench.issuer.gate.clear()
        async with asyncio.timeout(4.0):
            reply = await guarded.opened.ask(guarded.keys["billing"])
        assert (reply.status, reply.error, reply.headers["retry-after"]) == (503, "temporarily_unavailable", "1")
        guarded.bench.issuer.gate.set()


async def test_it_is_not_the_callers_fault_when_the_issuer_refuses_ours() -> None:
    """Never invalid_client: the caller would change the wrong secret."""
    async with guarded_door() as guarded:
        guarded.bench.issuer.fails = refused
        reply = await guarded.opened.ask(guarded.keys["billing"])
        assert (reply.status, reply.error, reply.headers["retry-after"]) == (502, "server_error", "30")
        assert guarded.audit[-1].decision == "allow"


async def test_a_fault_of_ours_says_nothing_about_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """To callers. The log has it, with the request id."""
    async with guarded_door() as guarded:

        def broken(*_: Any) -> None:
            raise ValueError("a secret detail")

        monkeypatch.setattr(guarded.bench.broker, "peek", broken)
        reply = await guarded.opened.ask(guarded.keys["billing"], {"X-Request-Id": "r-9"})
        assert (reply.status, reply.error) == (500, "server_error")
        assert reply.headers["x-request-id"] == "r-9"
        assert b"secret detail" not in reply.body
        monkeypatch.undo()
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        await wait_until(lambda: guarded.audit[-1].status == "OK")
