"""AsyncTokenSource: the same promises on asyncio."""

import asyncio
import itertools

import grpc
import pytest

from mintonce import AsyncTokenClient, AsyncTokenSource, Closed, Refused, TokenExpired, Unavailable, Unreachable
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer
from support.waiting import wait_until


async def read_for_ever(source: AsyncTokenSource) -> None:
    for _ in itertools.count():
        await source.get()
        await asyncio.sleep(0)


async def test_it_is_ready_when_it_is_open(server: ScriptedServer) -> None:
    """By `open`, or by `async with`."""
    source = await AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target)
    assert source.token().generation == 101
    assert source.header() == "Bearer secret-101"
    await source.aclose()
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as second:
        assert (await second.get()).generation == 101


async def test_it_does_not_open_without_a_token(server: ScriptedServer) -> None:
    """And leaves nothing behind."""
    server.fail("GetToken", grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT")
    with pytest.raises(Refused):
        await AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target)


async def test_reading_makes_no_call_and_successors_are_pushed(server: ScriptedServer) -> None:
    """One GetToken and one WatchToken for everything."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        first = await source.get()
        await wait_until(lambda: server.calls["WatchToken"])
        server.publish()
        assert (await source.wait_until_updated(first)).generation == 102
        assert source.token().generation == 102
    assert server.calls == {"GetToken": 1, "WatchToken": 1}


async def test_a_restart_of_the_server_is_not_noticed_while_the_token_lives(server: ScriptedServer) -> None:
    """It serves from memory meanwhile, and watches again afterwards."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        await wait_until(lambda: server.calls["WatchToken"])
        await asyncio.to_thread(server.stop)
        first = await source.get()
        server.start()
        server.publish()
        assert (await source.wait_until_updated(first)).generation == 102


async def test_a_server_that_cannot_watch_is_polled(server: ScriptedServer) -> None:
    """At the refresh time, by GetToken."""
    server.fail("WatchToken", grpc.StatusCode.UNIMPLEMENTED)
    server.lifetime, server.refresh_in = 2.0, 0.1
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        first = await source.get()
        server.publish()
        assert (await source.wait_until_updated(first)).generation == 102


async def test_a_hundred_tasks_that_saw_a_401_make_one_report(server: ScriptedServer) -> None:
    """And all get the same successor."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        refused = await source.get()
        successors = await asyncio.gather(*(source.reject(refused) for _ in range(100)))
        assert {each.generation for each in successors} == {102}
        assert (await source.reject(refused)).generation == 102
    assert server.calls["RejectToken"] == 1


async def test_a_caller_that_hangs_up_does_not_end_the_report_of_the_others(server: ScriptedServer) -> None:
    """The source's own task makes it."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        refused = await source.get()
        gate = server.hold("RejectToken")
        first, second = (asyncio.create_task(source.reject(refused)) for _ in range(2))
        await wait_until(lambda: server.calls["RejectToken"])
        first.cancel()
        gate.set()
        assert (await second).generation == 102
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_dead_token_is_never_served_and_the_error_says_why(server: ScriptedServer) -> None:
    """The last error of the server, with its remedy."""
    server.lifetime, server.refresh_in = 0.5, 0.1
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        for method in ("GetToken", "WatchToken"):
            server.fail(method, grpc.StatusCode.UNAVAILABLE, "ISSUER_UNAVAILABLE", remedy="Look at the issuer.")
        await asyncio.to_thread(server.stop)
        server.start()
        with pytest.raises(TokenExpired) as caught:
            await read_for_ever(source)
        with pytest.raises(TokenExpired):
            source.header()
    assert caught.value.remedy == "Look at the issuer."


async def test_a_reject_ends_at_its_deadline(server: ScriptedServer) -> None:
    """Every wait has an end."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        gate = server.hold("RejectToken")
        with pytest.raises(Unavailable) as caught:
            await source.reject(await source.get(), timeout=0.1)
        assert caught.value.reason == "DEADLINE_EXCEEDED"
        gate.set()


async def test_after_closing_every_read_raises_closed(server: ScriptedServer) -> None:
    """Although the token lives on."""
    source = await AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target)
    token = source.token()
    await source.aclose()
    for read in (source.token, source.header):
        with pytest.raises(Closed):
            read()
    with pytest.raises(Closed):
        await source.get()
    with pytest.raises(Closed):
        await source.reject(token)
    with pytest.raises(Closed):
        await source.wait_until_updated(token)


@pytest.mark.parametrize("closed_meanwhile", [False, True])
@pytest.mark.parametrize("waits", ["open", "get", "reject", "wait_until_updated"])
async def test_a_caller_that_is_cancelled_gets_its_cancellation(
    server: ScriptedServer, waits: str, closed_meanwhile: bool
) -> None:
    """And never Closed, even if the source is closed in the same moment."""
    server.lifetime, server.refresh_in = (0.0, 0.0) if waits == "get" else (3600.0, 3000.0)
    source = AsyncTokenSource(CLIENT, AUDIENCE, via=server.target, timeout=30.0)
    gates = [server.hold("RejectToken")]
    if waits == "open":
        gates.append(server.hold("GetToken"))
        waiting = asyncio.create_task(source.__aenter__())
        await wait_until(lambda: server.calls["GetToken"])
    else:
        await source.__aenter__()
        gates.append(server.hold("GetToken"))
        given = () if waits == "get" else (source.token(),)
        waiting = asyncio.create_task(getattr(source, waits)(*given))
        await wait_until(lambda: server.calls["WatchToken"] or server.calls.total() > 1)
    waiting.cancel()
    if closed_meanwhile:
        await source.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await source.aclose()
    for gate in gates:
        gate.set()


@pytest.mark.parametrize("closed_meanwhile", [False, True])
async def test_a_cancelled_call_of_a_client_is_a_cancellation_too(
    server: ScriptedServer, closed_meanwhile: bool
) -> None:
    """For all calls, and for a watch."""
    gates = [server.hold(method) for method in ("GetToken", "RejectToken", "WatchToken")]
    client = AsyncTokenClient(server.target)
    calls = [
        client.get(CLIENT, AUDIENCE),
        client.reject(CLIENT, AUDIENCE, generation=101),
        anext(client.watch(CLIENT, AUDIENCE)),
    ]
    tasks = [asyncio.ensure_future(call) for call in calls]
    await wait_until(lambda: server.calls.total() == len(tasks))
    for task in tasks:
        task.cancel()
    if closed_meanwhile:
        await client.close()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task
    await client.close()
    for gate in gates:
        gate.set()


async def test_it_can_wait_for_a_server_that_is_not_there_yet(server: ScriptedServer) -> None:
    """Where everything starts in any order. By default it fails at once."""
    await asyncio.to_thread(server.stop)
    with pytest.raises(Unreachable):
        await AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target)
    opening = asyncio.create_task(AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target, wait_for_server=30.0))
    with pytest.raises(Unreachable):
        async with AsyncTokenClient(server.target) as probe:
            await probe.get(CLIENT, AUDIENCE)
    server.start()
    source = await opening
    assert source.token().generation == 101
    await source.aclose()


async def test_closing_ends_the_wait_for_a_server(server: ScriptedServer) -> None:
    """At once, with nothing left behind."""
    await asyncio.to_thread(server.stop)
    source = AsyncTokenSource(CLIENT, AUDIENCE, via=server.target, wait_for_server=3600.0)
    opening = asyncio.create_task(source.__aenter__())
    await asyncio.sleep(0)
    await source.aclose()
    with pytest.raises(Closed):
        await opening


async def test_closing_ends_the_task_and_a_shared_client_stays_open(server: ScriptedServer) -> None:
    """Nothing is left, and later callers get an error."""
    async with AsyncTokenClient(server.target) as client:
        source = await AsyncTokenSource.open(CLIENT, AUDIENCE, via=client)
        token = await source.get()
        await source.aclose()
        await source.aclose()
        with pytest.raises(Closed):
            await source.reject(token)
        assert (await client.get(CLIENT, AUDIENCE)).generation == 101
