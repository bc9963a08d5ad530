"""Budgets of real fleets: the counters equal the issuer's own log, and needed mints are never refused."""

import json
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from mintonce import MintonceError
from mintonce.v1 import admin_pb2, admin_pb2_grpc
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.practice_quota import PracticeQuota
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.app import spent
from mintonce_server.config import load
from mintonce_server.core.budget import Usage
from mintonce_server.core.errors import StoreUnavailable
from support.asking import Served, start
from support.commands import Ended, mintonced
from support.eventually import eventually
from support.servers import looking_into, without_ttl
from support.surroundings import issuer_with_log, posts, smallest_settings
from support.waiting import wait_until

LIFETIME = 3600.0
MINTED = 200


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[PracticeIssuer]:
    """It has a quota, and logs its POSTs."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=LIFETIME) as running:
        running.quota = PracticeQuota(1000)
        yield running


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """It keeps its data."""
    async with EmbeddedValkey(tmp_path / "valkey", persist=True) as running:
        yield running
        async with looking_into(running.url) as command:
            assert await without_ttl(command) == []


@pytest.fixture
def settings(issuer: PracticeIssuer, valkey: EmbeddedValkey) -> dict[str, str]:
    return smallest_settings(issuer, valkey.url)


async def budget(directory: Path, settings: dict[str, str], *words: str) -> Ended:
    return await mintonced("budget", *words, directory=directory, settings=settings)


async def counters(settings: dict[str, str]) -> Usage:
    """What `mintonced budget` reads. Nothing while the store is away."""
    variables = {f"MINTONCE_{name}": value for name, value in settings.items()}
    try:
        (found,) = await spent(load(None, variables), "default", None)
    except StoreUnavailable:
        return Usage()
    return found.used.usage


def minted(issuer_log: Path) -> int:
    """Tokens, by the issuer's own log."""
    return sum(post["status"] == MINTED for post in posts(issuer_log))


async def settled(directory: Path, settings: dict[str, str]) -> Usage:
    """The counters, once they equal the log."""
    log = directory / "posts.jsonl"
    return await eventually(lambda: counters(settings), lambda found: found.mints == minted(log), within=20.0)


async def ask(served: Served, names: str) -> None:
    for name in names:
        await served.get(f"https://{name}.example.com/", timeout=15.0)


@asynccontextmanager
async def stopped(valkey: EmbeddedValkey) -> AsyncGenerator[None]:
    """It answers nobody meanwhile."""
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


@pytest.mark.slow
async def test_the_counters_equal_the_issuers_log_after_kills_an_outage_and_a_restart_of_the_store(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """Two replicas: one is killed, the store is killed, and one mints while the store is away."""
    async with AsyncExitStack() as stack:
        one, other = await start(stack, tmp_path, settings, 2)
        await ask(one, "abc")
        await ask(other, "abcde")
        await one.client.rotate("default", "https://a.example.com/")
        token = await one.get("https://b.example.com/")
        assert await one.client.reject("default", "https://b.example.com/", generation=token.generation)
        await ask(one, "b")
        before = await settled(tmp_path, settings)
        assert dict(before.minted) == {"absent": 5, "rotation": 1, "rejected": 1}

        one.server.process.kill()
        await one.server.process.wait()
        await ask(other, "fg")

        pid = valkey.pid
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: valkey.pid != pid)
        await ask(other, "hi")
        assert (await settled(tmp_path, settings)).mints == 11

        async with stopped(valkey):
            await ask(other, "j")
        assert (await settled(tmp_path, settings)).minted["outage"] == 1
        await wait_until(lambda: other.server.events("adopted"))  # the store has it: the next replica need not mint it
        (again,) = await start(stack, tmp_path, settings, 1)
        await ask(again, "abcdefghijk")
        await settled(tmp_path, settings)
    found = await counters(settings)
    assert minted(tmp_path / "posts.jsonl") == found.mints == issuer.minted == 13
    # Two have left, so what they served is in. Of the killed one, what it served in its last seconds may be lost.
    assert 10 + 11 <= found.served <= 10 + 11 + 5
    assert found.saved == found.served - 13


@pytest.mark.slow
async def test_needed_only_refuses_a_rotation_and_lets_a_needed_mint_through(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer
) -> None:
    """With a reason, a remedy and a time; the exit code of `mintonced budget` says so, too."""
    of_budget = {"TOKENS_PER_MONTH": "2", "WHEN_USED_UP": "needed_only", "PRICE_PER_TOKEN": "0.5", "CURRENCY": "EUR"}
    settings |= {f"CLIENTS__DEFAULT__BUDGET__{name}": value for name, value in of_budget.items()}
    assert (await budget(tmp_path, settings)).code == 0
    async with AsyncExitStack() as stack:
        one, other = await start(stack, tmp_path, settings | {"AUDIT_FILE": str(tmp_path / "audit.jsonl")}, 2)
        await ask(one, "ab")
        await wait_until(lambda: one.server.events("budget_reached"))
        with pytest.raises(MintonceError) as caught:
            await one.client.rotate("default", "https://a.example.com/")
        assert (caught.value.reason, bool(caught.value.remedy)) == ("BUDGET_USED_UP", True)
        assert (caught.value.retry_after or 0.0) > 0.0
        await ask(one, "c")
        await ask(other, "abc")
        assert issuer.minted == 3

        await settled(tmp_path, settings)
        ended = await budget(tmp_path, settings)
        assert ended.code == 4
        assert "budget    3 of 2 in the month (150%)" in ended.out
        assert "cost      1.50 EUR" in ended.out

        async with grpc.aio.insecure_channel(one.server.target) as channel:
            admin: Any = admin_pb2_grpc.AdminServiceStub(channel)
            usage = await admin.GetUsage(admin_pb2.GetUsageRequest(client="default"))
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await admin.GetUsage(admin_pb2.GetUsageRequest(client="another"))
            with pytest.raises(grpc.aio.AioRpcError) as malformed:
                await admin.GetUsage(admin_pb2.GetUsageRequest(client="default", month="2026-13"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        assert malformed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(usage.minted) == {"absent": 3}
    assert (usage.budget.tokens_per_month, usage.budget.used_in_month, usage.budget.needed_only) == (2, 3, True)
    assert (usage.cost, usage.currency) == ("1.50", "EUR")
    assert usage.forecast.expected >= 3
    assert 2200 < usage.needed < 2500  # three keys with a token each 54 minutes, for 28 to 31 days
    (quota,) = usage.issuer_quotas
    assert (quota.window, quota.counts_tokens, quota.limit, quota.remaining) == ("client per_hour", True, 1000, 997)
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert {record["percent"] for record in records if record["kind"] == "budget"} == {100}


async def test_a_client_of_which_the_issuer_gives_no_more_tokens_is_not_asked_for(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer
) -> None:
    """One POST learned it; the next key makes none, and the token that is there is served."""
    issuer.quota = PracticeQuota(2)
    async with AsyncExitStack() as stack:
        (one,) = await start(stack, tmp_path, settings, 1)
        await ask(one, "ab")
        with pytest.raises(MintonceError) as caught:
            await ask(one, "c")
        assert caught.value.reason == "ISSUER_THROTTLED"
        assert 0.0 < (caught.value.retry_after or 0.0) <= 300.0
        await ask(one, "ab")
    assert issuer.posts == 2
