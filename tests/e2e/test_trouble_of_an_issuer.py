"""A rate limit or an outage is the issuer's: one POST finds out for all of its keys, at every replica."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.asking import Answer, Served, start
from support.faulty_issuer import NONE, Fault, FaultyIssuer
from support.peers import read_request
from support.surroundings import posts
from support.waiting import wait_until

AUDIENCES = [f"https://api-{number}.example.com/" for number in range(40)]
PAUSE = 4.0
BACK = 2.0
"""Seconds within which an issuer that is back serves every key."""
SLOW = 1.0
"""For a busy machine: forty calls take their time there."""


async def ask(fleet: list[Served], timeout: float = 3.0) -> list[Answer]:
    """For every audience at every replica, all at the same time."""
    return await asyncio.gather(*(served.ask(audience, timeout) for audience in AUDIENCES for served in fleet))


@pytest.mark.slow
async def test_a_rate_limit_of_the_tenant_costs_two_posts(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """Until the time that the issuer named, for every key; afterwards every key gets its token."""
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings, 3)
        issuer.fault = Fault(status=429, retry_after=f"{PAUSE:.0f}")
        began = time.time()
        answers = await ask(fleet)
        while time.time() < began + PAUSE - SLOW:
            answers += await ask(fleet)
        assert {answer.error.reason for answer in answers if answer.error} == {"ISSUER_THROTTLED"}
        assert len(answers) == sum(answer.error is not None for answer in answers)
        issuer.fault = NONE
        told = [post["time"] for post in posts(tmp_path / "posts.jsonl")]
        await wait_until(lambda: time.time() >= max(told) + PAUSE + SLOW)
        assert [answer.error for answer in await ask(fleet, 10.0) if answer.error] == []
        first = [post["time"] for post in posts(tmp_path / "posts.jsonl") if post["time"] < max(told) + PAUSE - 0.1]
    assert len(first) <= 2


@pytest.mark.slow
async def test_an_issuer_that_is_back_serves_every_key_within_two_seconds(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """However long it was away: no key waits out a back-off of its own."""
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings, 3)
        issuer.fault = Fault(status=503)
        ends = time.time() + 8.0
        while time.time() < ends:
            await ask(fleet)
        issuer.fault = NONE
        back = time.time()
        missing: list[str] = list(AUDIENCES)
        while missing and time.time() < back + BACK + SLOW:
            answers = await asyncio.gather(*(fleet[0].ask(audience) for audience in missing))
            missing = [audience for audience, answer in zip(missing, answers, strict=True) if answer.error]
            await asyncio.sleep(0.05)
    assert missing == []


@pytest.mark.slow
async def test_clients_do_not_share_their_trouble(tmp_path: Path, settings: dict[str, str]) -> None:
    """Two APIs of one client are rate limited for five minutes. Another client of the same issuer mints."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        client = json.loads(body)["client_id"]
        asked.append(client)
        status, more, answer = "200 OK", "", {"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600}
        if client == "limited":
            status, more, answer = "429 Too Many", "Retry-After: 300\r\n", {}
        text = json.dumps(answer)
        head = f"HTTP/1.1 {status}\r\n{more}Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, AsyncExitStack() as stack:
        domain = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        other = {"CLIENTS__OTHER__CLIENT_ID": "other", "CLIENTS__OTHER__CLIENT_SECRET": "a secret of a test"}
        more = {"OAUTH_DOMAIN": domain, "CLIENT_ID": "limited", **other}
        (served,) = await start(stack, tmp_path, settings | more, 1)
        for audience in AUDIENCES[:3]:
            answer = await served.ask(audience)
            assert answer.error
            assert answer.error.reason == "ISSUER_THROTTLED"
        token = await served.client.get("other", AUDIENCES[0])
    assert token.access_token == "a-token"
    assert asked == ["limited", "limited", "other"]
