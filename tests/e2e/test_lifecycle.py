"""How a server starts, refuses to start, dies and leaves: real processes."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mintonce import AsyncTokenClient, MintonceError, Unavailable
from mintonce_dev.valkey import EmbeddedValkey
from support.commands import mintonced
from support.faulty_issuer import Fault, FaultyIssuer
from support.replicas import Replica, replica
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def is_clean(server: Replica) -> bool:
    """No traceback, no error: all that it did was meant."""
    text = server.log.read_text()
    return "Traceback" not in text and not [line for line in server.lines if line["level"] == "error"]


async def test_environment_variables_alone_make_a_server(tmp_path: Path, settings: dict[str, str]) -> None:
    """No file, no argument: the smallest set-up serves, and says where."""
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        assert (await client.get("default", AUDIENCE)).is_live
        (said,) = server.events("serving")
        assert said["clients"] == ["default"]


@pytest.mark.slow
async def test_sigterm_lets_a_call_that_waits_for_a_slow_issuer_finish(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """The caller gets its token, the process ends with 0, and the log has no complaint."""
    issuer.fault = Fault(latency=1.5)
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        call = asyncio.create_task(client.get("default", AUDIENCE))
        await wait_until(lambda: issuer.posts == 1)
        assert await server.stop(signal.SIGTERM) == 0
        assert (await call).is_live
    assert is_clean(server)
    assert server.events("draining")
    assert server.events("stopped")


async def test_sigterm_sends_watches_elsewhere_at_once(tmp_path: Path, settings: dict[str, str]) -> None:
    """UNAVAILABLE with the reason DRAINING; a watch does not hold the server up for the time of its grace."""
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        async with client.watch("default", AUDIENCE) as watch:
            await anext(watch)
            loop = asyncio.get_running_loop()
            began = loop.time()
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(Unavailable) as caught:
                await anext(watch)
        async with asyncio.timeout(8.0):
            assert await server.process.wait() == 0
        assert loop.time() - began < 5.0  # drain_timeout is 10 s
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert is_clean(server)


@pytest.mark.slow
async def test_a_call_longer_than_the_grace_is_cut_off(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """A server that was told to end does end."""
    issuer.fault = Fault(hang=True)
    async with (
        replica(tmp_path, settings | {"DRAIN_TIMEOUT": "0.5"}) as server,
        AsyncTokenClient(server.target) as client,
    ):
        call = asyncio.create_task(client.get("default", AUDIENCE, timeout=8.0))
        await wait_until(lambda: issuer.posts == 1)
        async with asyncio.timeout(5.0):
            assert await server.stop() == 0
        with pytest.raises(MintonceError):
            await call
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("noticed", [False, True])
async def test_sigterm_ends_a_server_whose_store_is_away(
    tmp_path: Path, settings: dict[str, str], valkey: EmbeddedValkey, noticed: bool
) -> None:
    """Whether it waits for an answer or is about to connect again."""
    async with replica(tmp_path, settings) as server:
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            if noticed:
                await wait_until(lambda: server.events("wakes_interrupted"))
            async with asyncio.timeout(8.0):
                assert await server.stop() == 0
        finally:
            os.kill(valkey.pid, signal.SIGCONT)
    assert is_clean(server)


@pytest.mark.slow
async def test_a_server_starts_without_its_store_and_finds_it_later(
    tmp_path: Path, settings: dict[str, str], valkey: EmbeddedValkey
) -> None:
    """It says so, serves what it can, and is whole again when the store is back."""
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
            await wait_until(lambda: server.events("store_unavailable"))
            assert (await client.get("default", AUDIENCE)).degraded
            os.kill(valkey.pid, signal.SIGCONT)
            second = await client.get("default", "https://second.example.com/")
            assert not second.degraded
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


async def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path, settings: dict[str, str], taken: int) -> None:
    """Exit code 1 and what to do; no traceback."""
    ended = await mintonced("serve", directory=tmp_path, settings=settings | {"LISTEN": f"127.0.0.1:{taken}"})
    assert ended.code == 1
    assert f"cannot listen on 127.0.0.1:{taken}" in ended.err
    assert "choose another one" in ended.err
    assert "Traceback" not in ended.err


async def test_broken_settings_are_all_named_at_once(tmp_path: Path) -> None:
    """An operator sees all faults in one run."""
    broken = {"OAUTH_DOMAIN": "ftp://x", "CLIENT_ID": "a", "LOG_LEVEL": "loud", "LISTN": "x", "REDIS_URL": "http://x"}
    ended = await mintonced("serve", directory=tmp_path, settings=broken)
    assert ended.code == 1
    named = ("MINTONCE_OAUTH_DOMAIN", "client_secret", "MINTONCE_LOG_LEVEL", "MINTONCE_LISTN", "MINTONCE_REDIS_URL")
    assert [name for name in named if name not in ended.err] == []
    assert "Traceback" not in ended.err


async def test_nothing_set_at_all_says_what_is_missing(tmp_path: Path) -> None:
    """The first thing that a newcomer meets."""
    ended = await mintonced("serve", directory=tmp_path)
    assert ended.code == 1
    assert "MINTONCE_OAUTH_DOMAIN" in ended.err
    assert "Traceback" not in ended.err


async def test_it_does_not_listen_beyond_loopback_unless_told_that_it_is_meant(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """Callers prove no identity, so every peer that reaches the port gets tokens."""
    ended = await mintonced("serve", directory=tmp_path, settings=settings | {"LISTEN": "0.0.0.0:0"})
    assert ended.code == 1
    assert "insecure_listen" in ended.err


async def test_health_says_whether_it_serves(tmp_path: Path, settings: dict[str, str]) -> None:
    """For a container's health check: the exit code, and one word."""
    async with replica(tmp_path, settings) as server:
        up = await mintonced("health", "--target", server.target, directory=tmp_path)
        assert (up.code, up.out) == (0, "SERVING\n")
        alive = await mintonced("health", "--target", server.target, "--service", "liveness", directory=tmp_path)
        assert (alive.code, alive.out) == (0, "SERVING\n")
        wrong = await mintonced("health", "--target", server.target, "--service", "livenes", directory=tmp_path)
        assert wrong.code == 1
        assert "readiness and liveness" in wrong.err
        target = server.target
        await server.stop()
    down = await mintonced("health", "--target", target, directory=tmp_path)
    assert down.code == 1
    assert "does not answer" in down.err
    assert "Traceback" not in down.err


@pytest.mark.slow
async def test_a_second_sigterm_does_not_cut_the_drain_short(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """Supervisors repeat themselves; the caller still gets its token."""
    issuer.fault = Fault(latency=1.0)
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        call = asyncio.create_task(client.get("default", AUDIENCE))
        await wait_until(lambda: issuer.posts == 1)
        server.process.send_signal(signal.SIGTERM)
        await wait_until(lambda: server.events("draining"))
        assert await server.stop(signal.SIGTERM) == 0
        assert (await call).is_live
    assert is_clean(server)


async def test_a_second_interrupt_ends_it_at_once(
    tmp_path: Path, settings: dict[str, str], issuer: FaultyIssuer
) -> None:
    """The second Ctrl-C ends the program at once."""
    issuer.fault = Fault(hang=True)
    async with replica(tmp_path, settings) as server, AsyncTokenClient(server.target) as client:
        call = asyncio.create_task(client.get("default", AUDIENCE, timeout=15.0))
        await wait_until(lambda: issuer.posts == 1)
        server.process.send_signal(signal.SIGINT)
        await wait_until(lambda: server.events("draining"))
        async with asyncio.timeout(3.0):
            assert await server.stop(signal.SIGINT) == -signal.SIGINT
        with pytest.raises(MintonceError):
            await call
    assert "Traceback" not in server.log.read_text()
