"""What the machine itself does to a run: on a busy one, processes stand still, and deadlines pass without a fault."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from chaos.journals import lines_of
from chaos.processes import Member
from history.checker import Call, Fault

BEAT: Final = 0.01
LATE: Final = 0.04
"""Seconds: the margin that a replica keeps for its answer's way back (calls/call.py), nearly."""
BEFORE: Final = 0.5
"""Seconds: a late answer may have been delayed so long before the deadline."""
BUSY: Final = "busy machine"
_MISSED: Final = "did not answer within"


class Pulse:
    """Beats on the callers' own event loop, and knows when it was late, and by how much."""

    def __init__(self) -> None:
        self.late: dict[float, float] = {}

    async def beat(self) -> None:
        """For ever."""
        while True:
            due = time.time() + BEAT
            await asyncio.sleep(BEAT)
            if (by := time.time() - due) > LATE:
                self.late[time.time()] = by

    def excuses(self, call: Call) -> bool:
        """Whether the call ended at its deadline, without a word from the server, while the machine stood still."""
        if call.status != "DEADLINE_EXCEEDED" or call.reason:
            return False
        return any(call.ended - BEFORE <= moment <= call.ended + LATE for moment in self.late)

    def worst(self, since: float) -> float:
        """The longest that the machine stood still since then, in seconds."""
        return max((by for moment, by in self.late.items() if moment >= since), default=0.0)


@asynccontextmanager
async def pulse() -> AsyncGenerator[Pulse]:
    """Beats inside the block."""
    beating = Pulse()
    task = asyncio.create_task(beating.beat(), name="pulse")
    try:
        yield beating
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def unprovoked(members: Iterable[Member], began: float, ended: float, faults: Sequence[Fault]) -> list[Fault]:
    """Store operations that missed their deadline though no fault was injected into the store: an outage to a replica.

    Only missed deadlines, by the replica's own log: an error of any other kind has a cause, and this is none.
    """
    found: list[Fault] = []
    for member in members:
        for moment, line in lines_of(member, "store_failed"):
            deadline = _missed(line)
            if deadline is None or not began <= moment <= ended:
                continue
            if not any(fault.overlaps(moment - 2 * deadline, moment) for fault in faults if _hurts(fault)):
                found.append(Fault(BUSY, moment - deadline, moment, member.name, outage=True))
    return found


def _hurts(fault: Fault) -> bool:
    return fault.lossy or fault.crash or fault.stall or fault.outage


def _missed(line: Mapping[str, object]) -> float | None:
    """The deadline that was missed, in seconds."""
    detail = str(line.get("detail", ""))
    return float(detail.partition(_MISSED)[2].split()[0]) if _MISSED in detail else None
