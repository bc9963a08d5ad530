"""AsyncTokenClient and AsyncTokenSource belong to one event loop, and say so in another."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine

import pytest
import uvloop

from mintonce import AsyncTokenClient, AsyncTokenSource, Closed, MintonceError, Token
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer


def read_for_ever(source: AsyncTokenSource) -> None:
    while True:
        source.token()


def test_a_client_in_a_second_loop_says_so(server: ScriptedServer) -> None:
    """As with two calls of asyncio.run, or a fixture of a wider scope than its test."""

    async def make() -> AsyncTokenClient:
        client = AsyncTokenClient(server.target)
        await client.get(CLIENT, AUDIENCE)
        return client

    async def use(client: AsyncTokenClient) -> Token:
        return await client.get(CLIENT, AUDIENCE)

    client = asyncio.run(make())
    with pytest.raises(MintonceError, match="another event loop") as caught:
        asyncio.run(use(client))
    assert caught.value.reason == "EVENT_LOOP"
    assert "each asyncio.run" in caught.value.remedy
    asyncio.run(client.close())


@pytest.mark.parametrize("how", ["get", "reject", "wait_until_updated"])
def test_a_source_in_a_second_loop_says_so(server: ScriptedServer, how: str) -> None:
    """While the first one lives, too: nobody waits for a task of another loop."""
    first = asyncio.new_event_loop()
    source = first.run_until_complete(AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target))
    token = source.token()
    server.lifetime = server.refresh_in = 0.0
    calls: dict[str, Coroutine[object, object, Token]] = {
        "get": source._await_live(None),  # as when the token is over
        "reject": source.reject(token),
        "wait_until_updated": source.wait_until_updated(token),
    }

    async def use() -> Token:
        return await calls.pop(how)

    with pytest.raises(MintonceError, match="another event loop"):
        asyncio.run(use())
    for call in calls.values():
        call.close()
    first.run_until_complete(source.aclose())
    first.close()


def test_the_token_of_a_closed_loop_is_served_and_then_the_loop_is_named(server: ScriptedServer) -> None:
    """Nothing renews it any more."""
    server.lifetime, server.refresh_in = 0.3, 0.2

    async def make() -> AsyncTokenSource:
        return await AsyncTokenSource.open(CLIENT, AUDIENCE, via=server.target)

    source = asyncio.run(make())
    with pytest.raises(MintonceError, match="loop is closed"):
        read_for_ever(source)
    with pytest.raises(MintonceError, match="loop is closed"):
        source.header()
    asyncio.run(source.aclose())
    with pytest.raises(Closed):
        source.token()


def test_a_client_made_outside_of_a_loop_belongs_to_the_one_that_first_uses_it(server: ScriptedServer) -> None:
    """As a module's global."""
    source = AsyncTokenSource(CLIENT, AUDIENCE, via=server.target)

    async def use() -> int:
        async with source:
            return (await source.get()).generation

    assert asyncio.run(use()) == 101


def test_uvloop_serves_it(server: ScriptedServer) -> None:
    """Reads, a report, and a pushed successor."""

    async def use() -> None:
        async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
            second = await source.reject(await source.get())
            server.publish()
            assert (await source.wait_until_updated(second)).generation > second.generation

    uvloop.run(use())


async def test_a_source_may_be_closed_after_its_client_and_twice(server: ScriptedServer) -> None:
    """In any order."""
    client = AsyncTokenClient(server.target)
    source = await AsyncTokenSource.open(CLIENT, AUDIENCE, via=client)
    await client.close()
    await source.aclose()
    await source.aclose()
    await client.close()


ENDS = {
    "a source that is open when the loop ends": """
async def main():
    source = await AsyncTokenSource.open(*key, via=target)
    await source.get()
asyncio.run(main())
""",
    "a source that outlives its loop": """
async def main():
    return await AsyncTokenSource.open(*key, via=target)
source = asyncio.run(main())
""",
    "a client that outlives its loop": """
async def main():
    client = AsyncTokenClient(target)
    await client.get(*key)
    return client
client = asyncio.run(main())
del client
gc.collect()
""",
    "a source in uvloop that is open when the loop ends": """
import uvloop
async def main():
    source = await AsyncTokenSource.open(*key, via=target)
    await source.get()
uvloop.run(main())
""",
    "a thread's source that is open": """
source = TokenSource(*key, via=target)
source.get()
""",
    "a thread's source whose client is closed before it": """
client = TokenClient(target)
source = TokenSource(*key, via=client)
client.close()
source.close()
source.close()
""",
    "a thread that waits in a source": """
source = TokenSource(*key, via=target)
def wait():
    try:
        source.wait_until_updated(source.get())
    except Closed:
        pass
threading.Thread(target=wait, daemon=True).start()
""",
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_a_program_that_closes_nothing_ends_in_silence_with_its_own_code(server: ScriptedServer, program: str) -> None:
    """No traceback, no hang, no warning."""
    begin = (
        "import asyncio, gc, sys, threading\n"
        "from mintonce import AsyncTokenClient, AsyncTokenSource, Closed, TokenClient, TokenSource\n"
        "target, key = sys.argv[1], sys.argv[2:4]\n"
    )
    words = [sys.executable, "-W", "error", "-c", f"{begin}{program}\nsys.exit(7)\n"]
    done = subprocess.run(
        [*words, server.target, CLIENT, AUDIENCE],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"GRPC_VERBOSITY": "ERROR"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
