"""One caller floods, another notices nothing but a slower answer; `make attack` measures how slow."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from attack.arena import Arena, arena
from attack.bystander import Bystander
from attack.floods import ALL

SECONDS = 0.6
"""Of each flood."""
LIMITS = {"MINT_BURST": "100", "MINTS_PER_SECOND": "20", "MAX_WATCHES_PER_CALLER": "100", "LOG_LEVEL": "info"}
MOST_KEYS = 3 * (100 + 20 * 20 + 5)
"""Each mint that the limits allow within 20 s leaves three keys; the rest of the invented ones leaves nothing."""
MOST_MEMORY = 150 << 20


async def flooded(here: Arena, names: Iterable[str]) -> None:
    """One flood after the other, and beside each the calls of another caller."""
    before = here.resident()
    for name in names:
        bystander, until = Bystander(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bystander.call(here, until))
            strikes = await ALL[name](here.target, here.attacker, SECONDS)
            until.set()
        assert not bystander.failed, name
        assert bystander.took, name
        assert strikes >= 50, name
    assert here.server.process.returncode is None
    assert here.resident() - before < MOST_MEMORY
    assert await here.keys() <= MOST_KEYS


async def test_a_flood_by_one_caller_harms_no_other(tmp_path: Path) -> None:
    """Whatever it floods with, each call of the other is answered; memory and Redis stay small."""
    async with arena(tmp_path, **LIMITS) as here:
        await flooded(here, ALL.keys() - {"watches"})


async def test_watches_that_are_opened_and_left_harm_nobody(tmp_path: Path) -> None:
    """Nor does a caller that hangs up a thousand watches at once."""
    async with arena(tmp_path, **LIMITS) as here:
        await flooded(here, ["watches"] * 4)
