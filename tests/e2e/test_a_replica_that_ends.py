"""A client that knows several replicas leaves one that ends, by SIGTERM or by SIGKILL: no call fails, watches go on."""

import signal
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, AsyncTokenSource
from support.replicas import replica

AUDIENCE = "https://api.example.com/"
SOON = 1.0
"""Seconds for a call, so also to leave a replica that has ended."""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_calls_and_watches_go_on_elsewhere(tmp_path: Path, settings: dict[str, str], how: signal.Signals) -> None:
    """Whichever of the two the watch is at: what is minted elsewhere comes within a second."""
    async with replica(tmp_path, settings) as one, replica(tmp_path, settings) as other:
        target = f"ipv4:{one.target},{other.target}"
        async with (
            AsyncTokenClient(target) as client,
            AsyncTokenSource("default", AUDIENCE, via=target) as source,
        ):
            first = await source.get()
            await one.stop(how)
            for _ in range(20):
                assert (await client.get("default", AUDIENCE, timeout=SOON)).generation == first.generation
            async with AsyncTokenClient(other.target) as elsewhere:
                new = await elsewhere.rotate("default", AUDIENCE, timeout=SOON)
            assert (await source.wait_until_updated(first, timeout=SOON)).generation == new.generation
