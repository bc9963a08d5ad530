"""Why a store cannot be reached, in the same words in `mintonced check` and in the running service."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.store.check import check_store
from mintonce_server.store.keyring import FIXED_KEYRING
from support.certificates import DAY, NOW, Authority, Issued
from support.eventually import eventually
from support.nodes import PASSWORD, Node, free_ports
from support.reaching import reaching
from support.servers import valkey_binary
from support.strict_tls import strict_tls
from support.tls import speaking_tls
from support.topologies import single

DEADLINE = 0.25


class Said(NamedTuple):
    """The text for one cause in three places."""

    check: str
    start: str
    later: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    """Without TLS, on a port."""
    async with single(tmp_path_factory.mktemp("clear")) as topology:
        yield topology.servers[0]


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "foreign")


def listening_with(issued: Issued, trusts: Authority | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusts.ca if trusts else None)
    context.load_cert_chain(issued.certificate, issued.key)
    context.verify_mode = ssl.CERT_REQUIRED if trusts else ssl.CERT_NONE
    return context


async def said_of(url: str, clock: Clock) -> Said:
    """In `check`, in the line at the start, and in the subscription after a diagnosis."""
    proof = await check_store(url, FIXED_KEYRING.index_key, DEADLINE)
    assert [bool(fault.remedy) for fault in proof.faults] == [True]
    async with reaching(url, clock) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.ping()
        start = str(await store.diagnose(caught.value))
    troubles: list[StoreUnavailable] = []
    async with reaching(url, clock, troubles) as store, aclosing(store.wakes()) as wakes:
        following = asyncio.ensure_future(anext(wakes))
        await eventually(lambda: asyncio.sleep(0, [*map(str, troubles)]), lambda told: start in told, within=20.0)
        following.cancel()
        await asyncio.wait([following])
    return Said(proof.faults[0].what, start, str(troubles[-1]))


async def test_an_expired_certificate(node: Node, ours: Authority, clock: Clock) -> None:
    """The store's certificate."""
    old = ours.issue("old", addresses=["127.0.0.1"], begins=NOW - 2 * DAY, ends=NOW - DAY)
    async with speaking_tls(node.port, listening_with(old)) as port:
        said = await said_of(f"rediss://127.0.0.1:{port}?ssl_ca_certs={ours.ca}", clock)
    assert set(said) == {f"the certificate of the store at 127.0.0.1:{port}, or that of its authority, has expired"}


async def test_a_certificate_of_a_foreign_authority(
    node: Node, ours: Authority, foreign: Authority, clock: Clock
) -> None:
    """The remedy is ssl_ca_certs."""
    async with speaking_tls(node.port, listening_with(foreign.server())) as port:
        said = await said_of(f"rediss://127.0.0.1:{port}?ssl_ca_certs={ours.ca}", clock)
    assert len(set(said)) == 1
    assert "certificate of the store" in said.check
    assert "authority that is not trusted here" in said.check


async def test_a_certificate_for_another_host(node: Node, ours: Authority, clock: Clock) -> None:
    """Known CA, wrong name."""
    other = ours.issue("other", dns=["redis.example.com"])
    async with speaking_tls(node.port, listening_with(other)) as port:
        said = await said_of(f"rediss://127.0.0.1:{port}?ssl_ca_certs={ours.ca}", clock)
    assert len(set(said)) == 1
    assert "does not name the host in redis.url" in said.check


@pytest.mark.slow
async def test_tls_to_a_port_in_clear(node: Node, ours: Authority, clock: Clock) -> None:
    """Redis takes a handshake for half a command, and waits: without a diagnosis it only seems slow."""
    said = await said_of(f"rediss://127.0.0.1:{node.port}?ssl_ca_certs={ours.ca}", clock)
    assert set(said) == {f"the store at 127.0.0.1:{node.port} does not speak TLS, and redis.url says rediss://"}


async def test_clear_to_a_port_with_tls(node: Node, ours: Authority, clock: Clock) -> None:
    """It disconnects: without a diagnosis it only seems unreachable."""
    async with speaking_tls(node.port, listening_with(ours.server())) as port:
        said = await said_of(f"redis://127.0.0.1:{port}", clock)
    assert set(said) == {f"the store at 127.0.0.1:{port} wants TLS, and redis.url says redis://"}


async def test_a_certificate_of_ours_that_is_missing(ours: Authority, clock: Clock) -> None:
    """In TLS 1.3 the server reports it after the handshake."""
    with strict_tls(listening_with(ours.server(), trusts=ours)) as port:
        said = await said_of(f"rediss://127.0.0.1:{port}?ssl_ca_certs={ours.ca}", clock)
    assert set(said) == {f"the store at 127.0.0.1:{port} wants a certificate of ours, and none is set"}


@pytest.mark.parametrize(
    ("kind", "why"), [("foreign", "its authority is not trusted there"), ("old", "it has expired")]
)
async def test_a_certificate_of_ours_that_is_refused(
    ours: Authority, foreign: Authority, clock: Clock, kind: str, why: str
) -> None:
    """Our certificate, not the store's: another person has to act."""
    shown = foreign.issue("client") if kind == "foreign" else ours.issue("old", begins=NOW - 2 * DAY, ends=NOW - DAY)
    options = f"ssl_ca_certs={ours.ca}&ssl_certfile={shown.certificate}&ssl_keyfile={shown.key}"
    with strict_tls(listening_with(ours.server(), trusts=ours)) as port:
        said = await said_of(f"rediss://127.0.0.1:{port}?{options}", clock)
    assert set(said) == {f"the store at 127.0.0.1:{port} refuses our certificate: {why}"}


async def test_an_http_server(clock: Clock) -> None:
    """A port of another service."""
    async with _http() as port:
        said = await said_of(f"redis://127.0.0.1:{port}", clock)
    assert set(said) == {f"the store at 127.0.0.1:{port} is an HTTP server"}


ANSWERS = {
    "the page of an HTTP server": (b"<!DOCTYPE HTML>\n<html>", "is an HTTP server"),
    "a bulk that never ends": (b"$99999999999999\r\nx", "does not speak the Redis protocol"),
    "words": (b"220 mail.example.com ESMTP", "does not speak the Redis protocol"),
    "nothing": (b"", "hung up"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_server_of_another_kind(clock: Clock, kind: str) -> None:
    """It was reached: the error says what was found."""
    answer, what = ANSWERS[kind]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        said = await said_of(f"redis://127.0.0.1:{port}", clock)
    assert set(said) == {f"the store at 127.0.0.1:{port} {what}"}


async def test_a_cluster_that_is_not_formed(tmp_path: Path, clock: Clock) -> None:
    """Its server was reached, and has no slots."""
    port, bus = free_ports(2)
    lines = ("cluster-enabled yes", f"cluster-port {bus}")
    node = Node("lone", port, directory=tmp_path, binary=valkey_binary(), lines=lines)
    try:
        await node.start()
        said = await said_of(f"redis+cluster://:{quote(PASSWORD, safe='')}@127.0.0.1:{node.port}", clock)
    finally:
        await node.kill()
    assert len(set(said)) == 1
    assert "no server has slots: the Cluster was not created" in said.check


@asynccontextmanager
async def _http() -> AsyncGenerator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
