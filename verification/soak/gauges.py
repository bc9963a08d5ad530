"""What replicas hold: memory, descriptors, threads and asyncio tasks, looked at each second."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from chaos.descriptors import descriptors
from chaos.processes import Member
from soak.fleet import Fleet, tasks_file

EVERY: Final = 1.0
WARM_UP: Final = 0.2
"""Share of the run, at its beginning, that is not looked at: caches fill."""
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Sample:
    """Of one replica at one moment. `rss` in bytes."""

    time: float
    replica: str
    pid: int
    rss: int
    descriptors: int
    threads: int
    tasks: int


@dataclass(frozen=True)
class Flatness:
    """A quantity of a replica: the medians of both halves of the run, and how much the second may be."""

    what: str
    first: float
    second: float
    allowed: float

    @property
    def flat(self) -> bool:
        return self.second <= self.allowed


async def sample(fleet: Fleet, into: list[Sample]) -> None:
    """For ever. A process that is stopped or gone is left out."""
    while True:
        into += [taken for member in fleet.members if (taken := _look(fleet.directory, member))]
        await asyncio.sleep(EVERY)


def _look(directory: Path, member: Member) -> Sample | None:
    if not member.running or member.stopped:
        return None
    pid = member.pid
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        open_files = sum(descriptors(pid).values())
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        tasks = int(tasks_file(directory, member.name).read_text())
    except (OSError, ValueError, IndexError):  # it ended just now, or has only begun
        return None
    return Sample(time.time(), member.name, pid, pages * os.sysconf("SC_PAGE_SIZE"), open_files, threads, tasks)


def flatness(samples: Sequence[Sample], replica: str) -> list[Flatness]:
    """Of a replica that ran all the time: the second half of its samples against the first, after the warm-up."""
    own = [taken for taken in samples if taken.replica == replica]
    own = own[int(len(own) * WARM_UP) :]
    first, second = own[: len(own) // 2], own[len(own) // 2 :]
    if not first:
        return []

    def compared(what: str, name: str, share: float, more: float) -> Flatness:
        before = median(getattr(taken, name) for taken in first)
        return Flatness(what, before, median(getattr(taken, name) for taken in second), before * (1 + share) + more)

    return [
        compared("resident memory", "rss", 0.05, 4 * MIB),
        compared("descriptors", "descriptors", 0.0, 6),
        compared("threads", "threads", 0.0, 2),
        compared("asyncio tasks", "tasks", 0.0, 10),
    ]
