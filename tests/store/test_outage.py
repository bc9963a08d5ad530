"""An unavailable store fails fast, with a clear error, and without the password."""

import asyncio
import os
import signal
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Hit, Lease
from mintonce_server.store import RedisStore
from support.eventually import eventually
from support.options import redis_store
from support.reaching import mended, new_key, reaching, writes
from support.samples import HASHER, KEY, acquire_request, lease_of, shared
from support.servers import looking_into
from support.tls import handing_on
from support.topologies import single


@asynccontextmanager
async def _store(url: str, clock: Clock, deadline: float = 0.25) -> AsyncGenerator[RedisStore]:
    store = redis_store(url, hasher=HASHER, clock=clock, deadline=deadline)
    try:
        yield store
    finally:
        await store.close()


async def test_a_stopped_server_is_given_up_within_the_deadline(own_server: EmbeddedValkey, clock: Clock) -> None:
    """It accepts the request and never answers."""
    async with _store(own_server.url, clock) as store:
        await store.ping()
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            started = clock.monotonic()
            for operation in (store.acquire(KEY, acquire_request()), store.load([KEY]), store.ping()):
                with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.25 s") as caught:
                    await operation
                assert caught.value.retry_after
            assert clock.monotonic() - started < 3 * 0.25 + 2.0  # the deadlines, and a busy machine's delays
        finally:
            os.kill(own_server.pid, signal.SIGCONT)


async def test_it_serves_again_when_the_server_goes_on(own_server: EmbeddedValkey, clock: Clock) -> None:
    """A connection that was abandoned cannot deliver an old answer."""
    async with _store(own_server.url, clock) as store:
        token = await shared(store, clock)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable):
                await store.load([KEY])
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        answer = await store.acquire(KEY, acquire_request())
        assert isinstance(answer, Hit)
        assert answer.token.generation == token.generation


async def test_a_restarted_server_is_found_again(own_server: EmbeddedValkey, clock: Clock) -> None:
    """Broken pooled connections are replaced without an error."""
    async with _store(own_server.url, clock, deadline=2.0) as store:
        await asyncio.gather(*(store.ping() for _ in range(8)))
        killed = own_server.pid
        os.kill(killed, signal.SIGKILL)

        async def answers() -> bool:
            with suppress(StoreUnavailable):
                await store.ping()
                return own_server.pid != killed
            return False

        await eventually(answers, bool, within=10.0)
        await asyncio.gather(*(store.ping() for _ in range(8)))


async def test_no_listener_is_reported_with_the_address(clock: Clock, tmp_path: Path) -> None:
    """With a remedy, and without the password."""
    async with _store(f"unix://:the-password@{tmp_path}/absent.sock", clock) as store:
        with pytest.raises(StoreUnavailable, match=r"absent\.sock") as caught:
            await store.ping()
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.remedy
    assert "redis.url" in caught.value.remedy
    assert "the-password" not in shown


async def test_a_wrong_password_is_said_without_it(own_server: EmbeddedValkey, clock: Clock) -> None:
    """Neither the one that was used, nor the right one."""
    parts = urlsplit(own_server.url)
    async with _store(f"unix://:the-wrong-one@{parts.path}", clock) as store:
        with pytest.raises(StoreUnavailable, match="user name or password") as caught:
            await store.ping()
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.remedy
    assert "the-wrong-one" not in shown
    assert unquote(parts.password or "?") not in shown


async def test_a_server_that_refuses_to_write_is_unavailable(own_server: EmbeddedValkey, clock: Clock) -> None:
    """Its error code is named. Its text is not: it may quote what we sent."""
    async with _store(own_server.url, clock, deadline=5.0) as store:
        token = await shared(store, clock)
        async with looking_into(own_server.url) as command:
            await command("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="has no memory left"):
            await lease_of(store, newer_than=token.generation)


async def test_a_failover_behind_a_name_is_followed(tmp_path: Path, clock: Clock) -> None:
    """As in hosted stores: the former primary keeps our connections, and only new ones reach the new primary."""
    async with single(tmp_path / "old") as old, single(tmp_path / "new") as new:
        (former,), (primary,) = old.servers, new.servers
        target = former
        async with handing_on(lambda: target.port) as port, reaching(_at(old.url, port), clock) as store:
            assert await writes(store)
            target = primary
            assert await writes(store)
            assert await primary.command("DBSIZE") == 0
            await former.command("REPLICAOF", "127.0.0.1", 1)
            assert await writes(store)
            assert await primary.command("DBSIZE") != 0


@pytest.mark.slow
async def test_an_emptied_read_only_server_is_an_outage_and_no_more(tmp_path: Path, clock: Clock) -> None:
    """As after a failed failover: 40 keys in use, no script cached and no write accepted (NOSCRIPT, READONLY)."""
    async with single(tmp_path / "server") as topology, reaching(topology.url, clock) as store:
        (server,) = topology.servers
        ends = clock.monotonic() + 2.0
        seen: set[type[object]] = set()

        async def go_on() -> None:
            while clock.monotonic() < ends:
                (outcome,) = await asyncio.gather(store.acquire(new_key(), acquire_request()), return_exceptions=True)
                seen.add(type(outcome))

        callers = [asyncio.create_task(go_on()) for _ in range(40)]
        for _ in range(4):
            await server.command("REPLICAOF", "127.0.0.1", 1)
            await server.command("SCRIPT", "FLUSH")
            await asyncio.sleep(0.2)
            await server.command("REPLICAOF", "NO", "ONE")
            await server.command("FLUSHALL")
            await asyncio.sleep(0.2)
        await asyncio.gather(*callers)
        assert seen == {Lease, StoreUnavailable}
        await mended(store, keys=40)


def _at(url: str, port: int) -> str:
    return f"{url.rpartition(':')[0]}:{port}/0"
