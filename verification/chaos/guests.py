"""A second fleet on the rig's store: replicas with other settings and another issuer, and a history of their own."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from chaos.journals import unforeseen
from chaos.processes import IssuerProgram, Member
from chaos.rig import LONG, Rig
from chaos.stage import Side, Stage, history_of
from chaos.workload import Callers

from support.measured_server import ISSUER_WAY
from support.naming import hasher_of
from support.nodes import free_ports
from support.surroundings import CLIENT_ID


def directory_of(stage: Stage) -> Path:
    """For what a scenario's guests write."""
    directory = stage.rig.members[0].said.parent / stage.name
    directory.mkdir(exist_ok=True)
    return directory


def settings_of(rig: Rig, **changes: str) -> dict[str, str]:
    """As the rig's replicas have them, but for the changes. They go straight to the store."""
    return rig.setup.settings(rig.topology.url, rig.issuer.port) | rig.guards.settings(rig.broken.url) | changes


def way_to(rig: Rig, issuer: IssuerProgram) -> dict[str, str]:
    """Variables that lead a replica to this issuer, though its settings name the rig's."""
    return {ISSUER_WAY: f"{rig.issuer.port} {issuer.port}"}


@asynccontextmanager
async def other_issuer(stage: Stage, client_id: str = CLIENT_ID) -> AsyncGenerator[IssuerProgram]:
    """It knows one client and serves until the end of the block."""
    setup = stage.rig.setup
    issuer = IssuerProgram(
        directory_of(stage), free_ports(1)[0], {LONG: setup.long_lifetime}, setup.lifetime, client_id
    )  # fmt: skip
    try:
        await issuer.start()
        yield issuer
    finally:
        await issuer.leave()


@asynccontextmanager
async def guests(
    stage: Stage, settings: Mapping[str, Mapping[str, str]], variables: Mapping[str, str] | None = None
) -> AsyncGenerator[list[Member]]:
    """Replicas by these names, until the end of the block. `variables`: of each, by their full names."""
    began = time.time()
    async with AsyncExitStack() as stack:
        members: list[Member] = []
        for name, mine in settings.items():
            members.append(Member(name, directory_of(stage), mine, variables, keys=stage.rig.guards.keys))
            stack.push_async_callback(members[-1].close)
        await asyncio.gather(*(member.start() for member in members))
        yield members
        stage.broken += unforeseen(members, began)


@asynccontextmanager
async def judged(
    stage: Stage, issuer: IssuerProgram, members: list[Member], audiences: list[str], settings: Mapping[str, str]
) -> AsyncGenerator[Callers]:
    """Whose calls are, at the end of the block, a history of these settings' keys, held to all rules."""
    began, callers = time.time(), Callers(members)
    try:
        yield callers
    finally:
        side = Side(issuer, members, callers, audiences, hasher_of(settings))
        stage.beside.append(history_of(stage.rig, side, stage.faults, began))
