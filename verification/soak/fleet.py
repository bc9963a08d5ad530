"""What a soak runs: one Valkey, one practice issuer, three replicas at fixed addresses."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos.processes import IssuerProgram, Member
from chaos.rig import Setup
from history.checker import Fault
from soak.keys import ISSUER_FAILS_FOR, LIFETIMES

from support.measured_server import TASKS_FILE
from support.nodes import Node, free_ports
from support.topologies import Topology, single

SETUP: Final = Setup(
    replicas=3, lease=3.0, revalidate=5.0, min_rotation=5.0, mint=5.0, store=0.5, lifetime=15, slack=1.0
)
WITNESS: Final = "r0"
"""The replica that is never killed: what it holds must not grow in the whole run."""
RECONNECTED_WITHIN: Final = 6.0
"""Seconds: a client that lost its server tries again within 5 (client/python/mintonce/_channel.py)."""
LOOK_EVERY: Final = 0.1


@dataclass(frozen=True)
class Ended:
    """A replica that ended by itself. `code`: negative for a signal."""

    time: float
    replica: str
    code: int | None
    said: str


@dataclass
class Fleet:
    """Everything that runs.

    Attributes:
        began: unix seconds.
        faults: what was done to it.
        down: the replicas that the program itself has killed and not yet started again.
        ended: the replicas that ended by themselves.
    """

    directory: Path
    topology: Topology
    issuer: IssuerProgram
    members: list[Member]
    began: float = field(default_factory=time.time)
    faults: list[Fault] = field(default_factory=list[Fault])
    down: set[str] = field(default_factory=set[str])
    ended: list[Ended] = field(default_factory=list[Ended])

    @property
    def server(self) -> Node:
        return self.topology.servers[0]

    @property
    def targets(self) -> dict[str, str]:
        """The replicas' addresses, by name. They stay the same when a replica is started again."""
        return {member.name: f"127.0.0.1:{port_of(member)}" for member in self.members}

    @asynccontextmanager
    async def fault(
        self,
        kind: str,
        target: str = "",
        *,
        lossy: bool = False,
        crash: bool = False,
        stall: bool = False,
        outage: bool = False,
    ) -> AsyncGenerator[None]:
        """Write a fault down, from the beginning of the block to its end."""
        began = time.time()
        try:
            yield
        finally:
            ended = time.time() + (RECONNECTED_WITHIN if crash and target.startswith("r") else 0.0)
            self.faults.append(Fault(kind, began, ended, target, lossy, crash, stall, outage))

    async def heal(self) -> None:
        """Everything runs again."""
        if self.issuer.running:
            self.issuer.resume()
            await self.issuer.mend(ISSUER_FAILS_FOR)
        else:
            await self.issuer.start()
        if self.server.running:
            self.server.resume()
            await self.server.command("REPLICAOF", "NO", "ONE")
            await self.server.command("CONFIG", "SET", "maxmemory", "0")
        else:
            await self.server.start()
        for member in self.members:
            if member.stopped:
                member.resume()
            if not member.running:
                await member.start()
            self.down.discard(member.name)


def port_of(member: Member) -> int:
    """Where this replica listens."""
    return int(member.settings["LISTEN"].rpartition(":")[2])


@asynccontextmanager
async def fleet(directory: Path) -> AsyncGenerator[Fleet]:
    """All of it serves when this is entered, and has ended when it is left, whatever happened."""
    async with AsyncExitStack() as stack:
        topology = await stack.enter_async_context(single(directory / "store"))
        issuer_port, *ports = free_ports(1 + SETUP.replicas)
        issuer = IssuerProgram(directory, issuer_port, LIFETIMES, SETUP.lifetime)
        stack.push_async_callback(issuer.leave)
        await issuer.start()
        built = Fleet(directory, topology, issuer, [])
        for number, port in enumerate(ports):
            member = _member(directory, f"r{number}", topology.url, issuer_port, port)
            built.members.append(member)
            stack.push_async_callback(member.close)
        await asyncio.gather(*(member.start() for member in built.members))
        watching = [asyncio.create_task(_watch_over(built, member), name="guard") for member in built.members]
        try:
            yield built
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)


def _member(directory: Path, name: str, store_url: str, issuer_port: int, port: int) -> Member:
    settings = SETUP.settings(store_url, issuer_port) | {"LISTEN": f"127.0.0.1:{port}"}
    return Member(name, directory, settings, {TASKS_FILE: str(tasks_file(directory, name))})


def tasks_file(directory: Path, name: str) -> Path:
    """Where a replica writes how many tasks it has."""
    return directory / f"{name}.tasks"


async def _watch_over(running: Fleet, member: Member) -> None:
    """Write down when a replica ends by itself, and start it again so that the run goes on. For ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if member.running or member.name in running.down:
            continue
        log = member.said.read_text(errors="replace").splitlines()
        running.ended.append(Ended(time.time(), member.name, member.exit_code, "\n".join(log[-3:])[-1500:]))
        async with running.fault("replica ended", member.name, crash=True):
            # One that cannot start either has ended again: the next round says so.
            with suppress(AssertionError, TimeoutError):
                await member.start()
