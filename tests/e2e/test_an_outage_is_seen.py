"""What operators see of a store that hangs, at a replica that no caller uses."""

import asyncio
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from support.manager import Manager
from support.replicas import Replica, replica
from support.surroundings import smallest_settings
from support.topologies import single
from support.waiting import wait_until


async def metric(server: Replica, name: str) -> float:
    url = str(server.events("serving")[0]["http"])
    with await asyncio.to_thread(urllib.request.urlopen, f"{url}/metrics", timeout=10.0) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).partition(" ")[2])


async def reached(server: Replica, name: str, least: float, within: float) -> None:
    async with asyncio.timeout(within):
        while await metric(server, name) < least:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_it_lasts_until_the_store_answers(
    tmp_path: Path, issuer: PracticeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the metrics and in `systemctl status`; a connection that the kernel accepted for the store is no answer."""
    with closing(Manager(str(tmp_path / "notify"))) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        async with single(tmp_path / "store") as topology:
            settings = smallest_settings(issuer, topology.url) | {"HTTP__LISTEN": "127.0.0.1:0"}
            async with replica(tmp_path, settings) as server:
                usual = f"STATUS=Serving at {server.target}"
                await reached(server, "mintonce_store_up", 1, within=20.0)
                topology.servers[0].stop()
                # Subscriptions are opened again each second or so meanwhile.
                await reached(server, "mintonce_store_outage_seconds_total", 6.0, within=30.0)
                assert await metric(server, "mintonce_store_up") == 0
                await wait_until(lambda: manager.last_status().startswith(f"{usual}; store away since 2"))
                topology.servers[0].resume()
                await reached(server, "mintonce_store_up", 1, within=20.0)
                await wait_until(lambda: manager.last_status() == usual)
