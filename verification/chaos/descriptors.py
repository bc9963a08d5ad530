"""What a replica holds open: nothing may pile up, whatever happened (H11)."""

import os
from collections import Counter
from pathlib import Path
from typing import Final

from chaos.processes import Member
from chaos.rig import Rig
from history.checker import Count

from support.waiting import wait_until

POOL: Final = 32 + 20 + 4
"""Connections that a replica may keep: those of the pools of store/link.py and issuer/endpoint.py, and subscribers."""
PER_NODE: Final = 32 + 2
SETTLED_WITHIN: Final = 5.0


def descriptors(pid: int) -> Counter[str]:
    """How many of which kind (socket, file…) a process has open."""
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # closed just now
            continue
        kinds["sockets" if target.startswith("socket:") else "others"] += 1
    return kinds


async def others(rig: Rig) -> dict[int, Counter[str]]:
    """By process id, of every replica, with no caller connected."""
    for member in rig.members:
        await member.reconnect()
    return {member.pid: descriptors(member.pid) for member in rig.members}


async def counts(rig: Rig, before: dict[int, Counter[str]]) -> list[Count]:
    """Each replica's descriptors before and after. One that was started meanwhile is compared with its siblings."""
    for member in rig.members:
        await member.reconnect()
    usual = max((kinds["others"] for kinds in before.values()), default=0)
    found: list[Count] = []
    for member in rig.members:
        files = before.get(member.pid, Counter(others=usual))["others"]
        sockets = before.get(member.pid, Counter(sockets=0))["sockets"]
        allowed = POOL if rig.setup.topology == "single" else POOL + PER_NODE * len(rig.topology.nodes)
        await _settled(member, files)
        now = descriptors(member.pid)
        found.append(Count(f"open files of {member.name}", files, now["others"]))
        found.append(Count(f"sockets of {member.name}", min(sockets, now["sockets"]), now["sockets"], allowed))
    return found


async def _settled(member: Member, files: int) -> None:
    try:
        await wait_until(lambda: descriptors(member.pid)["others"] <= files, timeout=SETTLED_WITHIN)
    except TimeoutError:  # the history checker says it
        return
