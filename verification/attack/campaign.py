"""The long form: every attack, as often as the time allows."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from attack import door_floods, floods
from attack.arena import arena
from attack.figures import Figures
from attack.fuzz_calls import READABLE, UNREADABLE, fuzz_calls, fuzz_proofs
from attack.fuzz_door import fuzz_bodies, fuzz_heads
from attack.fuzz_records import fuzz_records
from attack.fuzz_values import fuzz_values
from attack.measuring import Measured, held_on_to, measure

from mintonce_dev.valkey import EmbeddedValkey
from support.surroundings import issuer_with_log

PLENTY: Final = {
    "LIMITS__MINTS_PER_SECOND": "1000", "LIMITS__MINT_BURST": "100000",
    "LIMITS__REJECTS_PER_SECOND": "1000", "LIMITS__REJECT_BURST": "100000",
    "LOG_LEVEL": "info",
}  # fmt: skip
SILENT: Final = 2000
FLOOD_SECONDS: Final = 5.0

Say = Callable[[str], None]


@dataclass
class Run:
    """What came of all of it. `descriptors`: of the server before, with, and after silent connections."""

    figures: dict[str, Figures] = field(default_factory=dict[str, Figures])
    floods: list[Measured] = field(default_factory=list[Measured])
    descriptors: tuple[int, int, int] = (0, 0, 0)
    rounds: int = 0

    @property
    def broken(self) -> list[str]:
        """Each law that was broken."""
        laws = [f"{count} × {law}" for one in self.figures.values() for law, count in one.broken.most_common(20)]
        return laws + [flood.broken for flood in self.floods if flood.broken]

    def add(self, figures: Figures) -> None:
        """To those of the same name."""
        known = self.figures.setdefault(figures.name, Figures(figures.name))
        known.examples += figures.examples
        known.seconds += figures.seconds
        known.outcomes += figures.outcomes
        known.broken += figures.broken


async def campaign(minutes: float, seed: int, say: Say) -> Run:
    """Floods once; then fuzzing, round after round, until the time is over."""
    run, until = Run(), time.monotonic() + minutes * 60
    await _floods(run, say)
    while not run.rounds or time.monotonic() < until:
        await _round(run, seed + run.rounds, say)
        run.rounds += 1
    return run


async def _floods(run: Run, say: Say) -> None:
    for name in floods.EACH:
        with tempfile.TemporaryDirectory(prefix="mo-") as directory:
            async with arena(Path(directory), name in door_floods.WITH_TLS, LOG_LEVEL="info") as here:
                run.floods.append(await measure(here, name, FLOOD_SECONDS))
                died = here.server.process.returncode
                if died is None and name == "idle connections":
                    run.descriptors = await held_on_to(here, SILENT)
        say(
            f"flood: {name}, {run.floods[-1].strikes} strikes" + ("" if died is None else f": the server died ({died})")
        )


async def _round(run: Run, seed: int, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="mo-") as directory:
        async with arena(Path(directory), False, **PLENTY) as here:
            run.add(await fuzz_calls(here, READABLE, "readable requests", 1500, seed))
            run.add(await fuzz_calls(here, UNREADABLE, "bytes that are no request", 300, seed))
            run.add(await fuzz_proofs(here, 300, seed))
    with tempfile.TemporaryDirectory(prefix="mo-") as directory:
        async with arena(Path(directory), False, **PLENTY, TOKEN_ENDPOINT__FAILED_PROOFS_PER_SECOND="0") as here:
            run.add(await fuzz_bodies(here, 600, seed))
            run.add(await fuzz_heads(here, 600, seed))
    with tempfile.TemporaryDirectory(prefix="mo-") as directory:
        path = Path(directory)
        with issuer_with_log(path / "posts.jsonl", lifetime=3600.0) as issuer:
            async with EmbeddedValkey(path / "valkey", persist=False) as valkey:
                run.add(await fuzz_records(path, issuer, valkey.url, 400, seed))
    for figures in await fuzz_values(1000, seed):
        run.add(figures)
    await asyncio.sleep(0)
    say(f"round with seed {seed}: {sum(one.examples for one in run.figures.values())} examples so far")
