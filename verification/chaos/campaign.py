"""Many scenarios on one rig, and many rigs one after the other."""

import asyncio
import json
import random
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from chaos import catalogue
from chaos.digest import Digest
from chaos.rig import Rig, Setup, TopologyName, rig
from chaos.stage import Outcome, Scenario, play

SCENARIO_WITHIN: Final = 90.0
AT_A_TIME: Final = 10
"""Scenarios that go on beside each other."""

SHOWN: Final = ("kill-before-commit", "issuer-gone", "issuer-and-store-gone")
DEFAULTS: Final = Setup(replicas=3, lease=3.0, revalidate=5.0, min_rotation=30.0, mint=10.0, store=0.25, lifetime=12)
"""As the product comes, but for the lifetime of the tokens."""

Say = Callable[[Digest], None]


async def campaign(
    setup: Setup, seed: int, scenarios: Sequence[Scenario], say: Say, keep: Path | None = None
) -> list[Digest]:
    """All of them on one rig: first those that can go on beside each other, then one after the other.

    `keep`: a folder for the logs, and for the history of what was broken.
    """
    digests: list[Digest] = []
    with tempfile.TemporaryDirectory(prefix="mo-") as directory:
        async with rig(Path(directory), setup, seed) as fleet:
            async for outcome in _played(fleet, seed, scenarios):
                digests.append(Digest.of(outcome))
                say(digests[-1])
                if keep and digests[-1].problems:
                    _keep(outcome, keep)
        if keep:
            shutil.copytree(
                directory, keep / setup.topology, ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True
            )
    return digests


def _keep(outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{outcome.scenario.name}-{outcome.topology}-{outcome.seed}.json"
    kept = [asdict(history) for history in (outcome.history, *outcome.beside)]
    (folder / name).write_text(json.dumps(kept if outcome.beside else kept[0], indent=1, default=sorted))


async def _played(fleet: Rig, seed: int, scenarios: Sequence[Scenario]) -> AsyncGenerator[Outcome]:
    beside = [scenario for scenario in scenarios if not scenario.alone]
    for start in range(0, len(beside), AT_A_TIME):
        async with asyncio.timeout(SCENARIO_WITHIN):
            together = beside[start : start + AT_A_TIME]
            for outcome in await asyncio.gather(*(play(fleet, scenario, seed) for scenario in together)):
                yield outcome
    for scenario in scenarios:
        if scenario.alone:
            async with asyncio.timeout(SCENARIO_WITHIN):
                outcome = await play(fleet, scenario, seed)
            yield outcome


async def shown(seed: int, say: Say) -> list[Digest]:
    """What the product promises in numbers, with its own settings and three replicas."""
    scenarios = [replace(catalogue.ALL[name], alone=True) for name in SHOWN]
    return await campaign(DEFAULTS, seed, scenarios, say)


async def endless(
    seed: int, minutes: float, topologies: Sequence[TopologyName], say: Say, keep: Path | None = None
) -> AsyncGenerator[list[Digest]]:
    """Rounds over the topologies, each with the next seed and in another order, until the time is over."""
    ends = time.monotonic() + 60.0 * minutes
    while time.monotonic() < ends:
        for topology in topologies:
            if time.monotonic() < ends:
                scenarios = catalogue.of(topology)
                random.Random(seed).shuffle(scenarios)
                yield await campaign(Setup(topology), seed, scenarios, say, keep)
        seed += 1
