"""A fleet with everything around it: store, issuer, replicas, and on each way between them a proxy that can fail."""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from chaos.guards import OF_THE_BROKEN, Guards
from chaos.machine import Pulse, pulse
from chaos.processes import IssuerProgram, Member
from history.checker import Bounds

from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.store.names import USUAL
from support.broken_tls import BrokenTls, broken_tls
from support.fault_proxy import FaultProxy, fault_proxy
from support.measured_server import ISSUER_WAY
from support.naming import hasher_of
from support.nodes import free_ports
from support.speech import http, resp
from support.surroundings import CLIENT_ID, CLIENT_SECRET
from support.tls import Authority
from support.topologies import ClusterTopology, SentinelTopology, Topology, cluster, sentinel, single

TopologyName = Literal["single", "sentinel", "cluster"]
TOPOLOGIES: Final[tuple[TopologyName, ...]] = ("single", "sentinel", "cluster")
CLIENT: Final = "default"
LONG: Final = "https://long-*"
"""Audiences whose tokens live `long_lifetime`."""
FAILOVER_WITHIN: Final[Mapping[TopologyName, float]] = {"single": 2.0, "sentinel": 6.0, "cluster": 8.0}


@dataclass(frozen=True, slots=True)
class Setup:
    """What runs. Seconds; shorter than the defaults, so that much happens in little time."""

    topology: TopologyName = "single"
    replicas: int = 4
    lease: float = 1.0
    revalidate: float = 1.0
    min_rotation: float = 2.0
    mint: float = 2.0
    store: float = 1.0
    lifetime: int = 4
    long_lifetime: int = 600
    slack: float = 1.0

    @property
    def bounds(self) -> Bounds:
        """What the history checker holds the run to."""
        return Bounds(
            lease=self.lease,
            revalidate=self.revalidate,
            min_rotation=self.min_rotation,
            failover=FAILOVER_WITHIN[self.topology],
            slack=self.slack,
            mint=self.mint,
            expiry=0.1,  # `expires_at` is reckoned from the issuer's log, to the millisecond
            early=0.4,  # a reader subtracts the time that an answer took, which is much of such short lives
        )

    def settings(self, store_url: str, issuer_port: int) -> dict[str, str]:
        """Of one replica: variables without their MINTONCE_ prefix."""
        return {
            "ISSUERS__MAIN__TOKEN_URL": f"http://127.0.0.1:{issuer_port}/oauth/token",
            "ISSUERS__MAIN__REQUEST": "json",
            "CLIENTS__DEFAULT__ISSUER": "main",
            "CLIENTS__DEFAULT__CLIENT_ID": CLIENT_ID,
            "CLIENTS__DEFAULT__CLIENT_SECRET": CLIENT_SECRET,
            "REDIS_URL": store_url,
            "LISTEN": "127.0.0.1:0",
            "LOG_LEVEL": "debug",
            "REDIS__TIMEOUT": str(self.store),
            "LEASE_TTL": str(self.lease),
            "REVALIDATE_INTERVAL": str(self.revalidate),
            "MIN_ROTATION_INTERVAL": str(self.min_rotation),
            "MINT_TIMEOUT": str(self.mint),
            "DRAIN_TIMEOUT": "1",
            # All callers of a run share two names; what one of them may do at most is tested elsewhere.
            "LIMITS__MINTS_PER_SECOND": "1000",
            "LIMITS__MINT_BURST": "10000",
            "LIMITS__REJECTS_PER_SECOND": "1000",
            "LIMITS__REJECT_BURST": "10000",
        }


@dataclass
class Rig:
    """Everything that runs. Proxies are by the replica's name; `stores` is empty where servers are reached directly."""

    setup: Setup
    topology: Topology
    issuer: IssuerProgram
    members: list[Member]
    stores: dict[str, FaultProxy]
    issuers: dict[str, FaultProxy]
    broken: BrokenTls
    guards: Guards
    pulse: Pulse

    @cached_property
    def hasher(self) -> KeyHasher:
        """As all replicas name keys."""
        return hasher_of(self.members[0].settings)

    def hash(self, audience: str) -> str:
        """The key's name in the store and in logs."""
        return self.hasher(TokenKey.of(CLIENT, audience))

    def record(self, audience: str) -> str:
        """The name of the Redis key with the token."""
        return USUAL.record(self.hash(audience))

    @property
    def proxies(self) -> list[FaultProxy]:
        return [*self.stores.values(), *self.issuers.values()]

    def member(self, name: str) -> Member:
        return next(member for member in self.members if member.name == name)

    async def heal(self) -> None:
        """Everything runs again, nothing stands in the way."""
        self.broken.breaks = None
        for proxy in self.proxies:
            proxy.heal()
        for member in self.members:
            if member.stopped:
                member.resume()
        if self.issuer.stopped:
            self.issuer.resume()
        if not self.issuer.running:
            await self.issuer.start()
        dead = [member for member in self.members if not member.running]
        await asyncio.gather(self.topology.healed(), *(member.start() for member in dead))

    @property
    def cluster(self) -> ClusterTopology:
        assert isinstance(self.topology, ClusterTopology), "only a Cluster has slots"
        return self.topology


def _topology(name: TopologyName, directory: Path) -> AbstractAsyncContextManager[Topology]:
    if name == "sentinel":
        return _widened(sentinel(directory))
    if name == "cluster":
        return _widened(cluster(directory))
    return single(directory)


@asynccontextmanager
async def _widened(
    narrow: AbstractAsyncContextManager[SentinelTopology] | AbstractAsyncContextManager[ClusterTopology],
) -> AsyncGenerator[Topology]:
    async with narrow as topology:
        yield topology


@asynccontextmanager
async def rig(directory: Path, setup: Setup, seed: int) -> AsyncGenerator[Rig]:
    """All of it serves when this is entered, and has ended when it is left, whatever happened."""
    async with AsyncExitStack() as stack:
        topology = await stack.enter_async_context(_topology(setup.topology, directory / "store"))
        issuer = IssuerProgram(directory, free_ports(1)[0], {LONG: setup.long_lifetime}, setup.lifetime)
        stack.push_async_callback(issuer.leave)
        await issuer.start()
        authority = Authority(directory)
        broken = await stack.enter_async_context(broken_tls(authority.server(), OF_THE_BROKEN))
        guards = Guards.made_in(directory, authority.ca)
        built = Rig(
            setup, topology, issuer, [], {}, {}, broken, guards, await stack.enter_async_context(pulse())
        )  # fmt: skip
        for number in range(setup.replicas):
            await _add_member(stack, built, directory, f"r{number}", random.Random(f"{seed} r{number}"))
        await asyncio.gather(*(member.start() for member in built.members))
        yield built


async def _add_member(stack: AsyncExitStack, built: Rig, directory: Path, name: str, chance: random.Random) -> None:
    url = built.topology.url
    if built.setup.topology == "single":
        # Servers of the others announce their own addresses: there the replicas go straight to them.
        server = built.topology.servers[0].port
        built.stores[name] = await stack.enter_async_context(fault_proxy(server, resp, chance))
        url = url.replace(f":{server}/", f":{built.stores[name].port}/")
    built.issuers[name] = await stack.enter_async_context(fault_proxy(built.issuer.port, http, chance))
    settings = built.setup.settings(url, built.issuer.port) | built.guards.settings(built.broken.url)
    # All have the same token URL: replicas with different ones share no token.
    way = {ISSUER_WAY: f"{built.issuer.port} {built.issuers[name].port}"}
    member = Member(name, directory, settings, way, keys=built.guards.keys)
    built.members.append(member)
    stack.push_async_callback(member.close)
