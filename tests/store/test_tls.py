"""With TLS and a user of its own: every kind of store, on all connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.notifications import GAP
from support.eventually import eventually
from support.nodes import PASSWORD, Node, free_ports
from support.reaching import reaching
from support.samples import KEY, any_token, load_all, shared
from support.servers import valkey_binary
from support.tls import Authority, speaking_tls

RIGHTS = (
    "~mintonce:* &mintonce:* +@read +@write +@scripting +@pubsub +@connection -@dangerous +role +time +cluster|slots"
)
"""What the README says that our user needs."""

USER = f"mintonce:{quote('p@ss/word', safe='')}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def _start(node: Node) -> None:
    await node.start()
    await node.command("ACL", "SETUSER", "mintonce", "on", ">p@ss/word", *RIGHTS.split())


def _node(name: str, port: int, directory: Path, *lines: str, sentinel: bool = False) -> Node:
    return Node(name, port, directory=directory / name, binary=valkey_binary(), lines=lines, sentinel=sentinel)


@pytest_asyncio.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Node]:
    """A server of its own, without TLS."""
    (port,) = free_ports(1)
    node = _node("plain", port, tmp_path)
    await _start(node)
    yield node
    await node.kill()


async def _serves(url: str, clock: Clock) -> None:
    """Every operation of a replica."""
    async with reaching(url, clock) as store, aclosing(store.wakes()) as wakes:
        await store.ping()
        assert await anext(wakes) == GAP
        token = await shared(store, clock)
        assert await anext(wakes) == Wake(WakeKind.COMMIT, store.key_hash(KEY), token.generation)
        assert [found and found.generation for found in await load_all(store, [KEY])] == [token.generation]
        assert len((await store.list("", 10, any_token)).tokens) == 1
        assert (await store.reject(KEY, token.generation, 0.0)).was_current


async def test_one_server(plain: Node, authority: Authority, clock: Clock) -> None:
    """The CA is named in the URL."""
    async with speaking_tls(plain.port, authority.server()) as port:
        await _serves(f"rediss://{USER}@127.0.0.1:{port}/0?ssl_ca_certs={authority.ca}", clock)


@pytest.mark.slow
async def test_a_cluster(tmp_path: Path, authority: Authority, clock: Clock) -> None:
    """The announced servers use TLS, too. This one has all slots."""
    port, bus, announced = free_ports(3)
    lines = ("cluster-enabled yes", f"cluster-port {bus}", f"cluster-announce-port {announced}")
    node = _node("cluster", port, tmp_path, *lines)
    await _start(node)
    try:
        await node.command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        async with speaking_tls(port, authority.server(), announced):
            await eventually(lambda: node.command("CLUSTER", "INFO"), lambda said: "cluster_state:ok" in str(said))
            await _serves(f"rediss+cluster://{USER}@127.0.0.1:{announced}?ssl_ca_certs={authority.ca}", clock)
    finally:
        await node.kill()


async def test_sentinels(plain: Node, tmp_path: Path, authority: Authority, clock: Clock) -> None:
    """The Sentinel and the server that it names; this test only checks that nothing is sent unencrypted."""
    port, named = free_ports(2)
    monitoring = (f"sentinel monitor main 127.0.0.1 {named} 2", "sentinel down-after-milliseconds main 60000")
    node = _node("sentinel", port, tmp_path, *monitoring, sentinel=True)
    await node.start()
    try:
        async with (
            speaking_tls(plain.port, authority.server(), named),
            speaking_tls(port, authority.server()) as watching,
        ):
            options = f"sentinel_password={quote(PASSWORD, safe='')}&ssl_ca_certs={authority.ca}"
            await _serves(f"rediss+sentinel://{USER}@127.0.0.1:{watching}/main/0?{options}", clock)
    finally:
        await node.kill()


async def test_an_unknown_authority_is_refused(plain: Node, authority: Authority, clock: Clock) -> None:
    """With a specific error, unless verification is turned off."""
    async with speaking_tls(plain.port, authority.server()) as port:
        url = f"rediss://{USER}@127.0.0.1:{port}/0"
        async with reaching(url, clock) as store:
            with pytest.raises(StoreUnavailable, match="signed by an authority that is not trusted here") as caught:
                await store.ping()
        assert "ssl_ca_certs" in caught.value.remedy
        await _serves(f"{url}?ssl_cert_reqs=none", clock)


async def test_a_certificate_for_another_host_is_refused(plain: Node, authority: Authority, clock: Clock) -> None:
    """Unless names are not checked; the CA still is."""
    async with speaking_tls(plain.port, authority.server("another.example")) as port:
        url = f"rediss://{USER}@127.0.0.1:{port}/0?ssl_ca_certs={authority.ca}"
        async with reaching(url, clock) as store:
            with pytest.raises(StoreUnavailable, match="does not name the host in"):
                await store.ping()
        await _serves(f"{url}&ssl_check_hostname=false", clock)


async def test_a_certificate_of_ours_is_shown(plain: Node, authority: Authority, clock: Clock) -> None:
    """If the server requires one."""
    certificate, key = authority.client()
    async with speaking_tls(plain.port, authority.server(wants_certificate=True)) as port:
        url = f"rediss://{USER}@127.0.0.1:{port}/0?ssl_ca_certs={authority.ca}"
        async with reaching(url, clock) as store:
            with pytest.raises(StoreUnavailable):
                await store.ping()
        await _serves(f"{url}&ssl_certfile={certificate}&ssl_keyfile={key}", clock)


@pytest.mark.parametrize("url", ["rediss://{}", "rediss+cluster://{}", "rediss+sentinel://{}/main?sentinel_password=p"])
async def test_nothing_is_said_in_clear(url: str, clock: Clock) -> None:
    """Not even to a server without TLS: it gets the first record of a handshake (RFC 8446), and no more."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65_536))
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with reaching(url.format(f"{USER}@127.0.0.1:{port}"), clock) as store:
            with pytest.raises(StoreUnavailable, match="TLS"):
                await store.ping()
    assert heard
    assert {data[:2] for data in heard} == {b"\x16\x03"}
