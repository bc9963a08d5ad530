"""What `mintonced check` finds out about a store. It leaves nothing there."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_server.store.check import SCRATCH_MS, Rehearsal, check_store
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.link import Link
from mintonce_server.store.names import USUAL
from mintonce_server.store.notifications import Notifications
from mintonce_server.store.scripts import ACQUIRE, BARRIER, COMMIT, FAIL, REJECT, RENEW, RESEAL
from mintonce_server.store.survey import StoreReport
from support.nodes import PASSWORD, Node
from support.servers import redis_binary, valkey_binary
from support.topologies import Topology, cluster, sentinel, single

DEADLINE = 1.0
HARDENING = (Path(__file__).parents[2] / "docs" / "operating" / "redis.md").read_text()
DOCUMENTED = re.findall(r"(?m)^ACL SETUSER mintonce reset resetchannels on >PASSWORD (.*)$", HARDENING)[0].split()
KEY_HASH = "ab" * 16


@pytest_asyncio.fixture
async def topology(tmp_path: Path) -> AsyncIterator[Topology]:
    async with single(tmp_path) as topology:
        yield topology


@pytest.fixture
def node(topology: Topology) -> Node:
    return topology.servers[0]


async def report_of(url: str) -> StoreReport:
    return await check_store(url, FIXED_KEYRING.index_key, DEADLINE)


def faults(report: StoreReport) -> list[str]:
    return [fault.what for fault in report.faults]


@pytest.mark.parametrize("binary", [valkey_binary, redis_binary], ids=["valkey", "redis"])
async def test_a_server_that_does_all_is_fine(tmp_path: Path, binary: Callable[[], Path]) -> None:
    """The report says whether data is persisted."""
    async with single(tmp_path, binary=binary(), persist=True) as topology:
        report = await report_of(topology.url)
        assert await topology.servers[0].command("DBSIZE") == 0
    assert faults(report) == []
    assert "persists data by the append-only file" in report.notes[0]
    assert "evicts nothing" in report.notes[0]


@pytest.mark.slow
async def test_a_cluster_is_proved_server_by_server(tmp_path: Path) -> None:
    """A scratch key and a message on each."""
    async with cluster(tmp_path) as topology:
        report = await report_of(topology.url)
        primaries = await topology.primaries()
        assert [await node.command("DBSIZE") for node in primaries] == [0, 0, 0]
        ran = [str(await node.command("INFO", "commandstats")) for node in primaries]
    assert faults(report) == []
    assert len(report.notes) == 3
    for command in ("evalsha", "publish", "hincrby", "pexpireat"):
        assert all(f"cmdstat_{command}'" in said for said in ran), command


async def test_a_primary_that_sentinels_name_is_fine(tmp_path: Path) -> None:
    """The report names the server itself."""
    async with sentinel(tmp_path) as topology:
        report = await report_of(topology.url)
        primary = (await topology.primaries())[0]
    assert faults(report) == []
    assert f"127.0.0.1:{primary.port}" in report.notes[0]


async def test_every_script_is_run(topology: Topology, node: Node) -> None:
    """Then the server has cached all of them. The scratch key has a short TTL."""
    link = Link.from_url(topology.url, deadline=DEADLINE)
    rehearsal = Rehearsal(link, Notifications(FIXED_KEYRING.index_key), KEY_HASH)
    try:
        async with _kept(rehearsal):
            assert isinstance(await rehearsal.run(), int)
        ttls = [await node.command("PTTL", key) for key in USUAL.keys(KEY_HASH)]
    finally:
        await link.close()
    known = [await node.command("SCRIPT", "EXISTS", script.sha) for script in ALL]
    assert known == [[1]] * len(ALL)
    assert all(isinstance(ttl, int) and (ttl == -2 or 0 < ttl <= 2 * SCRATCH_MS) for ttl in ttls)
    assert max(int(str(ttl)) for ttl in ttls) > 0


ALL = (ACQUIRE, COMMIT, FAIL, REJECT, RENEW, BARRIER, RESEAL)


@asynccontextmanager
async def _kept(rehearsal: Rehearsal) -> AsyncGenerator[None]:
    """As if the check were killed before it deletes its key."""

    async def nothing() -> None:
        pass

    rehearsal._delete = nothing  # type: ignore[method-assign]
    yield


async def test_each_right_that_is_missing_is_named(node: Node) -> None:
    """One by one, for all rights in the document; with the document's rights nothing is missing."""
    url = f"redis://mintonce:p@127.0.0.1:{node.port}"
    granted = ["reset", "resetchannels", "on", ">p", *DOCUMENTED]
    await node.command("ACL", "SETUSER", "mintonce", *granted)
    assert faults(await report_of(url)) == []
    for right in DOCUMENTED:
        await node.command("ACL", "SETUSER", "mintonce", *(each for each in granted if each != right))
        report = await report_of(url)
        assert [right in what for what in faults(report)] == [True], (right, report.faults)
        assert f"ACL SETUSER mintonce {'resetchannels ' * right.startswith('&')}{right}" in report.faults[0].remedy


async def test_all_that_is_missing_is_named_at_once(node: Node) -> None:
    """Correcting one right at a time would be tedious."""
    await node.command("ACL", "SETUSER", "weak", "on", ">p", "~mintonce:*", "+ping", "+eval", "+evalsha", "+hget")
    report = await report_of(f"redis://weak:p@127.0.0.1:{node.port}")
    named = {word for what in faults(report) for word in what.partition("rights: ")[2].split()}
    commands = {right for right in DOCUMENTED if right.startswith("+")}
    assert named == commands - {"+ping", "+eval", "+evalsha", "+hget"}
    assert "eviction unknown" in report.notes[0]


@pytest.mark.parametrize("database", ["", "/3"], ids=["database 0", "another database"])
async def test_a_user_without_rights_learns_of_all(node: Node, database: str) -> None:
    """In one fault, whose remedy is sufficient."""
    await node.command("ACL", "SETUSER", "none", "on", ">p")
    url = f"redis://none:p@127.0.0.1:{node.port}{database}"
    report = await report_of(url)
    assert len(report.faults) == 1
    assert ("+select" if database else "+ping") in report.faults[0].what
    command = report.faults[0].remedy.partition("ACL SETUSER none ")[2].split()
    assert set(DOCUMENTED) <= set(command)
    await node.command("ACL", "SETUSER", "none", *command)
    assert faults(await report_of(url)) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_store_that_evicts_is_a_fault(topology: Topology, node: Node, policy: str) -> None:
    """All our keys have a TTL: volatile policies evict them, too. Without maxmemory nothing is evicted."""
    await node.command("CONFIG", "SET", "maxmemory-policy", policy)
    assert faults(await report_of(topology.url)) == []
    await node.command("CONFIG", "SET", "maxmemory", "100mb")
    report = await report_of(topology.url)
    assert [policy in what and "evicts" in what for what in faults(report)] == [True]
    assert "noeviction" in report.faults[0].remedy


async def test_a_store_that_takes_no_writes_is_a_fault(topology: Topology, node: Node) -> None:
    """A PING does not show it."""
    await node.command("CONFIG", "SET", "maxmemory", "1")
    assert "has no memory left" in faults(await report_of(topology.url))[0]
    await node.command("CONFIG", "SET", "maxmemory", "0")
    await node.command("CONFIG", "SET", "min-replicas-to-write", "1")
    assert "too few replicas" in faults(await report_of(topology.url))[0]


async def test_a_script_with_a_wrong_answer_is_a_fault(topology: Topology, node: Node) -> None:
    """As a compatible server might. Here another client has replaced the scratch key's lease."""
    link = Link.from_url(topology.url, deadline=DEADLINE)
    _, lease, _ = USUAL.keys(KEY_HASH)
    await node.command("HSET", lease, "nonce", "another", "f", 7)
    await node.command("PEXPIRE", lease, 60_000)
    try:
        said = await Rehearsal(link, Notifications(FIXED_KEYRING.index_key), KEY_HASH).run()
    finally:
        await link.close()
    assert not isinstance(said, int)
    assert "'acquire'" in said.what
    assert await node.command("DBSIZE") == 0


async def test_a_channel_without_messages_is_a_fault(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published with one key and read with another, which is like a lost message."""
    monkeypatch.setattr("mintonce_server.store.check.RECEIVED_WITHIN", 0.3)
    monkeypatch.setattr("mintonce_server.store.notifications.Notifications.decode", _drop)
    assert ["do not arrive" in what for what in faults(await report_of(topology.url))] == [True]


def _drop(_: Notifications, __: bytes) -> None:
    pass


async def test_no_password_is_shown(node: Node) -> None:
    """Neither the right one nor a wrong one."""
    report = await report_of(f"redis://:the-wrong-one@127.0.0.1:{node.port}")
    assert "user name or password" in faults(report)[0]
    assert "the-wrong-one" not in str(report)
    assert PASSWORD not in str(report)
