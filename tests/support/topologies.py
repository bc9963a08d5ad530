"""Real fleets of servers for tests: a single one, one behind Sentinels (1+1+3), a Cluster (3+3).

All run on 127.0.0.1 with a password, and end with this process. Nothing is kept on disk without `persist`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from redis.crc import key_slot
from redis.exceptions import ResponseError

from support.eventually import eventually
from support.nodes import PASSWORD, Node, free_ports
from support.servers import valkey_binary, version_of

SERVICE: Final = "mintonce"
DOWN_AFTER_MS: Final = 700
FAILOVER_TIMEOUT_MS: Final = 2000
NODE_TIMEOUT_MS: Final = 1500
SLOTS: Final = 16_384
BUS_OFFSET: Final = 10_000
"""From a server's port to that of its Cluster bus, where the server is too old for `cluster-port`."""
LOW_PORTS: Final = range(20_000, 22_000)
"""With the offset, too, they are below what the kernel gives to outgoing connections."""
HEALED_WITHIN: Final = 15.0

_SECRET: Final = quote(PASSWORD, safe="")


class Topology:
    """Servers that together are one store.

    `url`: for MINTONCE_REDIS_URL, with the password. `servers`: that keep data. `sentinels`: that watch, perhaps none.
    """

    def __init__(self, url: str, servers: list[Node], sentinels: list[Node] | None = None) -> None:
        self.url = url
        self.servers = servers
        self.sentinels = sentinels or []

    @property
    def nodes(self) -> list[Node]:
        """All processes."""
        return [*self.servers, *self.sentinels]

    async def primaries(self) -> list[Node]:
        """Those that say so, in the order of `servers`. A stopped or killed one does not."""
        said = await asyncio.gather(*(node.is_primary() for node in self.servers))
        return [node for node, primary in zip(self.servers, said, strict=True) if primary]

    async def primary_of(self, name: str) -> Node:
        """The server that holds this Redis key."""
        del name  # one shard has it all
        # While one is promoted, there is none.
        return (await eventually(self.primaries, bool, within=30.0))[0]

    async def replica_of(self, primary: Node) -> Node:
        """One that follows it."""
        for node in self.servers:
            if await node.follows() == primary.port:
                return node
        raise AssertionError(f"{primary} has no replica")

    async def has_taken_over(self, node: Node) -> bool:
        """Whether it is a primary, and clients find it."""
        return await node.is_primary()

    async def empty(self) -> None:
        """Everything is forgotten, scripts too."""
        for node in await self.primaries():
            await node.command("FLUSHALL")
            await node.command("SCRIPT", "FLUSH")
            # A replica that was just filled hears of it up to a second later. Promoted before, it would have it all.
            await node.command("WAIT", await self._replicas_of(node), int(HEALED_WITHIN * 1000))

    async def _replicas_of(self, primary: Node) -> int:
        return [await node.follows() for node in self.servers].count(primary.port)

    async def fail_over(self, primary: Node | None = None) -> Node:
        """Have a replica promoted without a fault, and give it back."""
        raise AssertionError("a single server has nowhere to fail over to")

    @asynccontextmanager
    async def losing_writes(self, primary: Node | None = None) -> AsyncGenerator[Node]:
        """What is written to this primary inside is lost: at the end it is killed, and a replica without it promoted.

        Yields the primary. It stays dead (`start` it again if wanted). Keep it short: the replica is stopped meanwhile.
        """
        primary = primary or (await self.primaries())[0]
        replica = await self.replica_of(primary)
        replica.stop()
        try:
            # Its connection is cut rather than left: what lies in the kernel's buffers would still be delivered.
            await primary.command("CLIENT", "KILL", "TYPE", "replica")
            yield primary
        finally:
            await primary.kill()
            replica.resume()
        await eventually(partial(self.has_taken_over, replica), bool, within=HEALED_WITHIN)

    async def healed(self) -> None:
        """Start what is dead, resume what is stopped, wait until all agree and each primary has its replica."""
        for node in self.nodes:
            if node.running:
                node.resume()
            else:
                await node.start()
        await eventually(self.whole, bool, within=HEALED_WITHIN)

    async def whole(self) -> bool:
        """Whether nothing is missing."""
        return all(await asyncio.gather(*(node.answers() for node in self.nodes)))

    async def followed(self, primaries: list[Node]) -> bool:
        """Whether each of these has a replica with all of its data."""
        followed = {await node.follows() for node in self.servers}
        return {node.port for node in primaries} <= followed


class SentinelTopology(Topology):
    """One shard, whose primary the Sentinels choose."""

    async def fail_over(self, primary: Node | None = None) -> Node:
        primary = primary or (await self.primaries())[0]
        replica = await self.replica_of(primary)
        await eventually(partial(self._is_promoted, replica), bool, within=2 * HEALED_WITHIN)
        return replica

    async def _is_promoted(self, replica: Node) -> bool:
        """Asks for it until it is so: a Sentinel may accept, and then give up, if it is behind in what it knows."""
        if not await replica.is_primary():
            await self._accepts_failover()
        return await self.has_taken_over(replica)

    async def has_taken_over(self, node: Node) -> bool:
        return await super().has_taken_over(node) and await self._all_name(node)

    async def _all_name(self, node: Node) -> bool:
        """Whether every Sentinel names it as the primary."""
        answers = [
            await sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for sentinel in self.sentinels
        ]
        return all(cast(list[bytes], address)[1] == str(node.port).encode() for address in answers)

    async def _accepts_failover(self) -> bool:
        try:
            return bool(await self.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE))
        except ResponseError:  # the one before is not quite over, or the replica not yet looked at
            return False

    async def whole(self) -> bool:
        if not await super().whole():
            return False
        primaries = await self.primaries()
        if len(primaries) != 1 or not await self.followed(primaries):
            return False
        return await self._all_name(primaries[0])


class ClusterTopology(Topology):
    """Three shards of one primary and one replica each."""

    async def primary_of(self, name: str) -> Node:
        slot = key_slot(name.encode())
        asked = next(node for node in self.servers if node.running)
        for first, last, primary, *_ in cast(
            list[tuple[int, int, list[object]]], await asked.command("CLUSTER", "SLOTS")
        ):
            if first <= slot <= last:
                return next(node for node in self.servers if node.port == primary[1])
        raise AssertionError(f"no node has slot {slot}")

    async def fail_over(self, primary: Node | None = None) -> Node:
        primary = primary or (await self.primaries())[0]
        replica = await self.replica_of(primary)
        await replica.command("CLUSTER", "FAILOVER")
        await eventually(replica.is_primary, bool, within=HEALED_WITHIN)
        return replica

    async def migrate(self, name: str, target: Node | None = None) -> Node:
        """Move the slot of this Redis key, with all that is in it, to another primary, and give that back."""
        source, slot = await self.primary_of(name), key_slot(name.encode())
        target = target or next(node for node in await self.primaries() if node is not source)
        await self.begin_migration(slot, source, target)
        await self.carry(slot, source, target)
        await self.end_migration(slot, target)
        return target

    async def begin_migration(self, slot: int, source: Node, target: Node) -> None:
        """From now on `source` answers ASK for keys of the slot that it does not have."""
        await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", await _id(source))
        await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", await _id(target))

    async def carry(self, slot: int, source: Node, target: Node) -> None:
        """All keys that are in the slot now. `source` points to `target` for them."""
        where = ("MIGRATE", "127.0.0.1", target.port, "", 0, 2000)
        while names := cast(list[bytes], await source.command("CLUSTER", "GETKEYSINSLOT", slot, 100)):
            await source.command(*where, "REPLACE", "AUTH", PASSWORD, "KEYS", *names)

    async def end_migration(self, slot: int, target: Node) -> None:
        """Tell all primaries who has the slot now."""
        owner = await _id(target)
        # The target first: otherwise no node has the slot for a moment.
        for node in sorted(await self.primaries(), key=lambda node: node is not target):
            await node.command("CLUSTER", "SETSLOT", slot, "NODE", owner)

    async def whole(self) -> bool:
        if not await super().whole():
            return False
        primaries = await self.primaries()
        if len(primaries) != len(self.servers) // 2 or not await self.followed(primaries):
            return False
        said = [str(await node.command("CLUSTER", "INFO")) for node in self.servers]
        if not all("cluster_state:ok" in text and "cluster_slots_ok:16384" in text for text in said):
            return False
        # What one server publishes goes to those that it has a link to, and a new link takes a while.
        seen = [str(await node.command("CLUSTER", "NODES")) for node in self.servers]
        return all(text.count(" connected") == len(self.servers) and "fail" not in text for text in seen)


@asynccontextmanager
async def single(directory: Path, *, binary: Path | None = None, persist: bool = False) -> AsyncGenerator[Topology]:
    """One server."""
    (port,) = free_ports(1)
    node = Node(
        "primary", port, directory=directory / "primary", binary=binary or valkey_binary(), lines=_keeping(persist)
    )
    async with _running([node]):
        yield Topology(f"redis://:{_SECRET}@127.0.0.1:{port}/0", [node])


@asynccontextmanager
async def sentinel(
    directory: Path, *, binary: Path | None = None, persist: bool = False
) -> AsyncGenerator[SentinelTopology]:
    """A primary, a replica, three Sentinels of which two must agree. The Sentinels want a password too."""
    binary = binary or valkey_binary()
    first, second, *watching = free_ports(5)
    following = (*_keeping(persist), f"replicaof 127.0.0.1 {first}")
    servers = [
        Node("server-1", first, directory=directory / "server-1", binary=binary, lines=_keeping(persist)),
        Node("server-2", second, directory=directory / "server-2", binary=binary, lines=following),
    ]
    lines = (
        f"sentinel monitor {SERVICE} 127.0.0.1 {first} 2",
        f'sentinel auth-pass {SERVICE} "{PASSWORD}"',
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
        # They know each other and the replica from the start; by themselves they take 2 to 10 s to find out.
        f"sentinel known-replica {SERVICE} 127.0.0.1 {second}",
    )
    sentinels: list[Node] = []
    for port in watching:
        known = [f"sentinel known-sentinel {SERVICE} 127.0.0.1 {peer} {peer:040x}" for peer in watching if peer != port]
        own = (f"sentinel myid {port:040x}", *lines, *known)
        name = f"sentinel-{len(sentinels) + 1}"
        sentinels.append(Node(name, port, directory=directory / name, binary=binary, lines=own, sentinel=True))
    hosts = ",".join(f"127.0.0.1:{port}" for port in watching)
    url = f"redis+sentinel://:{_SECRET}@{hosts}/{SERVICE}/0?sentinel_password={_SECRET}"
    topology = SentinelTopology(url, servers, sentinels)
    async with _running(topology.nodes):
        await eventually(topology.whole, bool, within=HEALED_WITHIN)
        yield topology


@asynccontextmanager
async def cluster(
    directory: Path, *, binary: Path | None = None, persist: bool = False
) -> AsyncGenerator[ClusterTopology]:
    """Three primaries with a replica each. The URL names one of each shard."""
    binary = binary or valkey_binary()
    own_bus = version_of(binary) >= (7, 0)
    ports = free_ports(12) if own_bus else free_ports(6, LOW_PORTS)
    buses, ports = (ports[6:] if own_bus else [port + BUS_OFFSET for port in ports]), ports[:6]
    servers: list[Node] = []
    for index, port in enumerate(ports):
        name, own = f"server-{index + 1}", directory / f"server-{index + 1}"
        own.mkdir(mode=0o700, parents=True)
        # A cluster that was met, and has agreed: forming one by CLUSTER MEET takes seconds more.
        (own / "nodes.conf").write_text(_nodes_conf(ports, buses, index))
        lines = (
            *_keeping(persist),
            "cluster-enabled yes",
            *([f"cluster-port {buses[index]}"] if own_bus else []),
            f"cluster-node-timeout {NODE_TIMEOUT_MS}",
            # Else a replica that never spoke with its primary may not take its place.
            "cluster-replica-validity-factor 0",
        )
        servers.append(Node(name, port, directory=own, binary=binary, lines=lines))
    url = f"redis+cluster://:{_SECRET}@" + ",".join(f"127.0.0.1:{port}" for port in ports[1:4])
    topology = ClusterTopology(url, servers)
    async with _running(servers):
        await eventually(topology.whole, bool, within=HEALED_WITHIN)
        yield topology


@asynccontextmanager
async def _running(nodes: list[Node]) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for node in nodes:
            stack.push_async_callback(node.kill)
        # The first before the others: a replica that finds no primary tries again a second later.
        await nodes[0].start()
        await asyncio.gather(*(node.start() for node in nodes[1:]))
        yield


def _nodes_conf(ports: list[int], buses: list[int], me: int) -> str:
    shards = len(ports) // 2
    lines: list[str] = []
    for index, (port, bus) in enumerate(zip(ports, buses, strict=True)):
        shard = index % shards
        role = "master -" if index < shards else f"slave {ports[shard]:040x}"
        slots = f" {SLOTS * shard // shards}-{SLOTS * (shard + 1) // shards - 1}" if index < shards else ""
        mine = "myself," if index == me else ""
        lines.append(f"{port:040x} 127.0.0.1:{port}@{bus} {mine}{role} 0 0 {shard + 1} connected{slots}")
    return "\n".join((*lines, f"vars currentEpoch {shards} lastVoteEpoch 0", ""))


def _keeping(persist: bool) -> tuple[str, ...]:
    return ("appendonly yes", "appendfsync everysec") if persist else ("appendonly no",)


async def _id(node: Node) -> bytes:
    return cast(bytes, await node.command("CLUSTER", "MYID"))
