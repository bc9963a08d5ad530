"""A firewall between a replica and its store forgets their connections, and says nothing."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.store.topology.pool import IDLE
from support.asking import start
from support.fault_proxy import fault_proxy
from support.surroundings import posts, smallest_settings
from support.topologies import single
from support.waiting import wait_until


@pytest.mark.slow
async def test_an_idle_replica_mints_with_a_lease(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """The next cold key costs one POST, shared with the fleet, and no outage is noted."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(single(tmp_path / "store"))
        proxy = await stack.enter_async_context(fault_proxy(store.servers[0].port))
        url = store.url.replace(f":{store.servers[0].port}/", f":{proxy.port}/")
        # No revalidation: it would keep one connection in use.
        settings = smallest_settings(issuer, url) | {"REVALIDATE_INTERVAL": "300s", "LOG_LEVEL": "debug"}
        one, other = await start(stack, tmp_path, settings, 2)
        cold = [f"https://api-{number}.example.com/" for number in range(5)]
        await asyncio.gather(*(one.get(f"{audience}warm") for audience in cold))
        loop = asyncio.get_running_loop()
        await wait_until(lambda: loop.time() - proxy.asked_at > 1.2 * IDLE, timeout=20.0)
        proxy.forget()
        found = await asyncio.gather(*(one.get(audience) for audience in cold))
        assert [(await other.get(audience)).generation for audience in cold] == [each.generation for each in found]
    assert len(posts(tmp_path / "posts.jsonl")) == 2 * len(cold)
    assert one.server.events("store_failed") == other.server.events("store_failed") == []
    assert len(one.server.events("committed")) == 2 * len(cold)
