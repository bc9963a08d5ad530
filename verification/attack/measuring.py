"""How much slower one caller's answers get while another floods. Flooders run in processes of their own."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from attack import door_floods, floods, wire_floods
from attack.arena import Arena
from attack.bystander import Bystander, DoorBystander
from attack.prober import Prober

WITHIN: Final = 1.0
"""Seconds in which the bystander is answered, where that is promised."""
REST: Final = 2.0
"""Seconds between two floods."""
CLOSED_WITHIN: Final = 15.0
"""Seconds after which connections that said nothing must be gone: the handshake's time, and some more."""


@dataclass(frozen=True)
class Measured:
    """One flood. `alone` and `beside` are the bystander's calls before and during it; memory in bytes."""

    name: str
    strikes: int
    seconds: float
    alone: Bystander
    beside: Bystander
    probes: Prober
    memory: int
    keys: int
    at_door: Bystander

    @property
    def broken(self) -> str:
        """What is wrong, "" if nothing is."""
        failed = self.alone.failed + self.beside.failed + self.at_door.failed
        if failed:
            return f"{self.name}: {len(failed)} calls of the bystander failed, such as {failed[0]}"
        if self.probes.failed:
            return f"{self.name}: {len(self.probes.failed)} probes failed, such as {self.probes.failed[0]}"
        slowest = max(self.beside.took + (self.at_door.took if self.name in door_floods.EACH else []), default=0.0)
        if self.must_stay_swift and slowest > WITHIN:
            return f"{self.name}: a call of the bystander took {slowest:.1f} s"
        return ""

    @property
    def must_stay_swift(self) -> bool:
        """Whether docs/security/hardening.md promises that the bystander is answered within a second."""
        return self.name in wire_floods.SWIFT or self.name in door_floods.EACH


async def measure(arena: Arena, name: str, seconds: float) -> Measured:
    """First without, then with the flood."""
    alone, beside, prober, until = Bystander(), Bystander(), Prober(), asyncio.Event()
    at_door = DoorBystander()
    target = arena.probed if name in wire_floods.AT_PROBES else arena.target
    target = arena.door_url if name in door_floods.EACH else target
    await alone.beside(arena, seconds)
    before = arena.resident()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(pool, floods.warm)  # its imports are no part of the flood
        async with asyncio.TaskGroup() as group:
            group.create_task(beside.call(arena, until))
            group.create_task(at_door.call(arena, until))
            group.create_task(prober.probe(arena.probed, until))
            flooding = loop.run_in_executor(pool, floods.run, name, target, arena.attacker, seconds)
            strikes = await flooding
            until.set()
    memory, keys = arena.resident() - before, await arena.keys()
    measured = Measured(name, strikes, seconds, alone, beside, prober, memory, keys, at_door)
    await asyncio.sleep(REST)
    return measured


async def held_on_to(arena: Arena, count: int) -> tuple[int, int, int]:
    """Descriptors before, with so many silent connections, and after the time in which they must be closed."""
    host, _, port = arena.target.rpartition(":")
    before = arena.descriptors()
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(count)]
    await asyncio.sleep(0.5)
    with_them = arena.descriptors()
    await asyncio.sleep(CLOSED_WITHIN)
    after = arena.descriptors()
    for _, writer in opened:
        writer.transport.abort()
    return before, with_them, after
