"""One caller floods, another notices nothing but a slower answer; `make attack` measures how slow."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
from attack import wire_floods
from attack.arena import Arena, arena
from attack.bystander import Bystander
from attack.floods import ALL
from attack.prober import Prober

SECONDS = 0.6
"""Of each flood."""
ENOUGH = 10
"""Attempts of a flood, even on a busy machine. Usually there are hundreds."""
BURST, RATE = 30, 5
LIMITS = {
    "LIMITS__MINT_BURST": str(BURST),
    "LIMITS__MINTS_PER_SECOND": str(RATE),
    "LIMITS__MAX_WATCHES_PER_CALLER": "100",
    "LOG_LEVEL": "info",
}
KEYS_EACH = 3
"""Of a mint; what an invented key leaves that nothing was minted for is nothing."""
MOST_MEMORY = 150 << 20


async def flooded(here: Arena, names: Iterable[str]) -> None:
    """One flood after the other, and beside each the calls of another caller."""
    before, began = here.resident(), time.monotonic()
    for name in names:
        bystander, until = Bystander(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bystander.call(here, until))
            strikes = await ALL[name](here.target, here.attacker, SECONDS)
            until.set()
        assert not bystander.failed, name
        assert bystander.took, name
        assert strikes >= ENOUGH, name
    assert here.server.process.returncode is None
    assert here.resident() - before < MOST_MEMORY
    # The bystander's token, the flooder's own, and what the limits allow.
    assert await here.keys() <= KEYS_EACH * (2 + BURST + RATE * (time.monotonic() - began))


@pytest.mark.slow
async def test_a_flood_by_one_caller_harms_no_other(tmp_path: Path) -> None:
    """Whatever it floods with, each call of the other is answered; memory and Redis stay small."""
    async with arena(tmp_path, False, **LIMITS) as here:
        await flooded(here, ALL.keys() - {"watches"})


@pytest.mark.slow
async def test_watches_that_are_opened_and_left_harm_no_other_caller(tmp_path: Path) -> None:
    """Nor does a caller that hangs up a thousand watches at once."""
    async with arena(tmp_path, False, **LIMITS) as here:
        await flooded(here, ["watches"] * 4)


@pytest.mark.slow
async def test_floods_on_raw_http2_harm_no_other_caller(tmp_path: Path) -> None:
    """By an unknown caller; with fewer calls than `make attack` makes. Probes are answered, too."""
    async with arena(tmp_path, LOG_LEVEL="info") as here:
        strikes: list[Callable[[], Awaitable[int]]] = [
            lambda: wire_floods.half_open(here.target, SECONDS, 1, 1000),
            lambda: wire_floods.half_open(here.target, SECONDS, 20, 1000),
            lambda: wire_floods.nameless_watches(here.target, SECONDS),
            lambda: wire_floods.nameless_watches(here.probed, SECONDS),
            lambda: wire_floods.rapid_resets(here.target, "", SECONDS),
        ]
        for strike in strikes:
            bystander, prober, until = Bystander(), Prober(), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(bystander.call(here, until))
                group.create_task(prober.probe(here.probed, until))
                assert await strike() >= 100
                until.set()
            assert not bystander.failed
            assert not prober.failed
            assert bystander.took
            assert prober.took
        assert here.server.process.returncode is None
        assert here.resident() < MOST_MEMORY * 2
