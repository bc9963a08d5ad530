"""The Redis user of docs/operating/redis.md can do what a replica does, and nothing else; with TLS, too."""

import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason, StoreUnavailable
from mintonce_server.core.ports import Admitted, Backoff, Failure, Hit, Wait, Wake, WakeKind
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.check import check_store
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.notifications import GAP
from support.nodes import Node, free_ports
from support.options import redis_store
from support.reaching import reaching
from support.samples import HASHER, KEY, OTHER, acquire_request, any_token, lease_of, load_all, minted, shared
from support.servers import chosen_binary, redis_binary, valkey_binary, version_of
from support.tls import Authority, knows_tls, speaking_tls
from support.topologies import SERVICE, cluster, sentinel

HARDENING = (Path(__file__).parents[2] / "docs" / "operating" / "redis.md").read_text()
PASSWORD = "p-of-the-acl-user"
BINARIES: dict[str, Callable[[], Path]] = {"valkey": valkey_binary, "redis": redis_binary}
NAMES_OF_CLIENTS = "Redis 6.2, 7.2 or newer, Valkey"


def rights(of: str = "mintonce") -> list[str]:
    """The rights that the document grants to that user, after its password."""
    (line,) = re.findall(rf"^ACL SETUSER {of} reset resetchannels on >PASSWORD (.+)$", HARDENING, re.MULTILINE)
    return cast(str, line).split()


def places(prefix: str) -> list[str]:
    """Its keys and channels with another prefix, as in the document."""
    (words,) = re.findall(r"`(~PREFIX\S+ &PREFIX\S+)`", HARDENING)
    usual = [right for right in rights() if right[0] in "~&"]
    assert usual == cast(str, words).replace("PREFIX", "mintonce").split()
    return cast(str, words).replace("PREFIX", prefix).split()


def further(kind: str) -> list[str]:
    """What the document adds for a kind of store."""
    (words,) = re.findall(rf"^\| {kind} \| `([^`]+)` \|", HARDENING, re.MULTILINE)
    return cast(str, words).replace("\\|", "|").split()  # a table of Markdown needs the backslash


async def give(node: Node, *more: str) -> None:
    """Create the user as the document says, also on a server that does not know the names of client libraries."""
    unknown = (7, 0) <= version_of(valkey_binary()) < (7, 2)
    await node.command(*_setuser(), *([] if unknown else further(NAMES_OF_CLIENTS)), *more)


def _setuser() -> tuple[str, ...]:
    return "ACL", "SETUSER", "mintonce", "reset", "resetchannels", "on", f">{PASSWORD}", *rights()


async def refused(node: Node) -> list[str]:
    """What the server denied: the commands, keys and channels in its ACL LOG."""
    entries = cast(list[list[bytes]], await node.command("ACL", "LOG"))
    return [entry[entry.index(b"object") + 1].decode() for entry in entries]


def user_url(node: Node) -> str:
    return f"redis://mintonce:{PASSWORD}@127.0.0.1:{node.port}/0"


async def everything(store: RedisStore, clock: Clock) -> None:
    """Every operation that a replica uses."""
    async with aclosing(store.wakes()) as wakes:
        await store.ping()
        assert await anext(wakes) == GAP
        token = await shared(store, clock)
        assert await anext(wakes) == Wake(WakeKind.COMMIT, store.key_hash(KEY), token.generation)
        assert isinstance(await store.acquire(KEY, acquire_request()), Hit)
        assert isinstance(await store.restore(token), Token)
        assert [found and found.generation for found in await load_all(store, [KEY])] == [token.generation]
        assert await store.generations([KEY]) == [token.generation]
        assert len((await store.list("", 10, any_token)).tokens) == 1
        assert (await store.reject(KEY, token.generation, 0.0)).was_current
    await _misfortunes(store, clock)
    await _trouble_of_the_issuer(store)


async def _misfortunes(store: RedisStore, clock: Clock) -> None:
    """A mint that fails, one under old credentials, one that recovers."""
    lease = await lease_of(store, OTHER)
    assert await store.renew(lease) is not None
    await store.fail(lease, Failure(Reason.ISSUER_UNAVAILABLE, ""), 60.0)
    assert isinstance(await store.acquire(OTHER, acquire_request()), Backoff)
    renewed = await lease_of(store, OTHER, cv=2, proof="wrong")
    await store.fail(renewed, Failure(Reason.ISSUER_REFUSED, of_proof=True), 60.0)
    renewed = await lease_of(store, OTHER, cv=2, proof="mended")
    assert isinstance(await store.commit(renewed, minted(clock)), Token)


async def _trouble_of_the_issuer(store: RedisStore) -> None:
    """Two failures, a success."""
    first, second = [as_admitted(await store.enter("issuer", "alone")) for _ in range(2)]
    assert not await store.learn("issuer", first, Failure(Reason.ISSUER_UNAVAILABLE), 60.0)
    assert await store.learn("issuer", replace(second, nonce="another"), Failure(Reason.ISSUER_UNAVAILABLE), 60.0)
    assert isinstance(await store.enter("issuer", "next"), Backoff)
    assert not await store.learn("issuer", first, None, 0.0)


def as_admitted(answer: Admitted | Wait | Backoff) -> Admitted:
    """The POST may begin."""
    assert isinstance(answer, Admitted)
    return answer


@pytest_asyncio.fixture(params=list(BINARIES))
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    """A server of its own, with the user."""
    (port,) = free_ports(1)
    node = Node("acl", port, directory=tmp_path / "acl", binary=BINARIES[request.param](), lines=())
    await node.start()
    await give(node)
    await node.command("CONFIG", "RESETSTAT")
    yield node
    await node.kill()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_the_user_can_do_all_that_a_replica_does(node: Node, clock: Clock) -> None:
    """The server refused nothing."""
    async with reaching(user_url(node), clock) as store:
        await everything(store, clock)
    assert await refused(node) == []


async def test_another_prefix_goes_into_pattern_and_channel(node: Node, clock: Clock) -> None:
    """As the document says; the user then has no access to the installation with the default prefix."""
    await node.command("ACL", "SETUSER", "mintonce", "resetkeys", "resetchannels", *places("other"))
    store = redis_store(user_url(node), prefix="other", hasher=HASHER, clock=clock)
    try:
        await everything(store, clock)
        assert await refused(node) == []
    finally:
        await store.close()
    async with reaching(user_url(node), clock) as usual:
        with pytest.raises(StoreUnavailable):
            await lease_of(usual)


async def test_it_has_no_right_that_it_does_not_use(node: Node, clock: Clock) -> None:
    """Least privilege: each granted command was run, by the scripts or by the client."""
    async with reaching(user_url(node), clock) as store:
        await everything(store, clock)
    used = {
        name.removeprefix("cmdstat_") for name in cast(dict[str, object], await node.command("INFO", "commandstats"))
    }
    granted = {right[1:] for right in rights() if right.startswith("+")}
    assert granted - used == set()


FORBIDDEN: tuple[tuple[str, ...], ...] = (
    ("GET", "other:key"),
    ("HGET", "other:key", "f"),
    ("HGET", "mintonce:two:{h}:t", "f"),
    ("PUBLISH", "mintonce:two:wake", "x"),
    ("EVAL", "return redis.call('GET', 'other:key')", "0"),
    ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ("PUBLISH", "another", "x"),
    ("SUBSCRIBE", "another"),
    ("PSUBSCRIBE", "*"),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "mintonce", "allcommands"),
    ("MONITOR",),
    ("DUMP", "mintonce:{h}:t"),
    ("RESTORE", "mintonce:{h}:t", "0", "x"),
    ("RENAME", "mintonce:{h}:t", "mintonce:{i}:t"),
    ("COPY", "mintonce:{h}:t", "mintonce:{i}:t"),
    ("PERSIST", "mintonce:{h}:t"),
    ("SET", "mintonce:{h}:t", "x"),
    ("MIGRATE", "127.0.0.1", "1", "mintonce:{h}:t", "0", "1"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("SAVE",),
    ("SHUTDOWN",),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("FUNCTION", "LIST"),
    ("SCRIPT", "FLUSH"),
    ("MODULE", "LIST"),
    ("SELECT", "1"),
)


async def test_it_can_do_nothing_else(node: Node) -> None:
    """No other keys or channels, also not from a script, and nothing that administers, dumps or monitors."""
    client = Redis(
        host="127.0.0.1", port=node.port, username="mintonce", password=PASSWORD, protocol=2, driver_info=None
    )
    allowed: list[tuple[str, ...]] = []
    try:
        for words in FORBIDDEN:
            try:
                # redis-py leaves execute_command without types.
                await client.execute_command(*words)  # type: ignore[no-untyped-call]
            except Exception as error:
                if not _denied(error):
                    raise
            else:
                allowed.append(words)
    finally:
        await client.aclose()
    assert allowed == []


def _denied(error: Exception) -> bool:
    """By the ACL: for the command itself, or for one that a script called. Or unknown: Redis 6.2 has no functions."""
    words = ("NOPERM", "ACL failure in script", "The user executing the script can't", "unknown command `FUNCTION`")
    return isinstance(error, NoPermissionError) or any(each in str(error) for each in words)


async def test_its_rights_cover_what_the_scripts_call() -> None:
    """A new command in a script needs a new right in the document, and a note to users."""
    folder = Path(__file__).parents[2] / "server" / "mintonce_server" / "store" / "lua"
    called = {
        name.lower()
        for script in folder.glob("*.lua")
        for name in re.findall(r"""redis\.p?call\(\s*['"](\w+)""", script.read_text())
    }
    assert called
    assert called - {right[1:] for right in rights()} == set()


async def test_without_the_channel_no_replica_is_woken(node: Node, clock: Clock) -> None:
    """A user with commands and keys only learns why the store does not work for it."""
    await node.command("ACL", "SETUSER", "mintonce", "resetchannels")
    async with reaching(user_url(node), clock) as store:
        lease = await lease_of(store)
        with pytest.raises(StoreUnavailable) as caught:
            await store.commit(lease, minted(clock))
    assert "no right to the wake channel" in str(caught.value)


async def test_it_works_with_sentinels(tmp_path: Path, clock: Clock) -> None:
    """With the document's additions: our user on every server; the Sentinels' user has one right."""
    async with sentinel(tmp_path) as topology:
        for server in topology.servers:
            await give(server, *further("Sentinel"))
        for watching in topology.sentinels:
            asks = ("reset", "on", ">p-of-the-asker", "+sentinel|get-master-addr-by-name")
            await watching.command("ACL", "SETUSER", "asker", *asks)
        options = "sentinel_username=asker&sentinel_password=p-of-the-asker"
        url = f"redis+sentinel://mintonce:{PASSWORD}@127.0.0.1:{topology.sentinels[0].port}/{SERVICE}/0?{options}"
        async with reaching(url, clock) as store:
            await everything(store, clock)
        assert [await refused(server) for server in topology.servers] == [[], []]


async def test_it_needs_no_config(tmp_path: Path, clock: Clock) -> None:
    """Managed services let nobody run CONFIG. `mintonced check` then finds no fault, and says what to look up."""
    (port,) = free_ports(1)
    lines = ('rename-command CONFIG ""',)
    node = Node("managed", port, directory=tmp_path / "managed", binary=valkey_binary(), lines=lines)
    await node.start()
    try:
        await give(node)
        async with reaching(user_url(node), clock) as store:
            await everything(store, clock)
        report = await check_store(user_url(node), FIXED_KEYRING.index_key, 1.0)
    finally:
        await node.kill()
    assert report.faults == []
    assert "check that maxmemory-policy is noeviction" in report.notes[0]


async def test_it_works_in_a_database_of_its_own(node: Node, clock: Clock) -> None:
    """With what the document adds for that."""
    await give(node, *further("a database other than 0"))
    async with reaching(user_url(node).removesuffix("0") + "1", clock) as store:
        await everything(store, clock)
    assert await refused(node) == []


@pytest.mark.slow
async def test_it_works_with_a_cluster(tmp_path: Path, clock: Clock) -> None:
    """With what the document adds for it."""
    async with cluster(tmp_path) as topology:
        for server in topology.servers:
            await give(server, *further("Cluster"))
        async with reaching(
            f"redis+cluster://mintonce:{PASSWORD}@127.0.0.1:{topology.servers[0].port}", clock
        ) as store:
            await everything(store, clock)
        # Only sent while a slot moves.
        if version_of(valkey_binary()) >= (7, 0):
            assert await topology.servers[0].command("ACL", "DRYRUN", "mintonce", "ASKING") == b"OK"
        assert [denied for server in topology.servers for denied in await refused(server)] == []


async def test_it_works_over_tls_with_a_certificate(node: Node, authority: Authority, clock: Clock) -> None:
    """The server has no TLS of its own; the proxy in front of it requires our certificate."""
    certificate, key = authority.client()
    async with speaking_tls(node.port, authority.server(wants_certificate=True)) as port:
        url = f"rediss://mintonce:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={authority.ca}"
        async with reaching(f"{url}&ssl_certfile={certificate}&ssl_keyfile={key}", clock) as store:
            await everything(store, clock)
        async with reaching(url, clock) as bare:
            with pytest.raises(StoreUnavailable):
                await bare.ping()
    assert await refused(node) == []


def _native() -> Path:
    """A server with TLS support: the one that the tests are to run with, or one on PATH; Debian's has it."""
    if (chosen := chosen_binary()) and knows_tls(chosen):
        return chosen
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) and knows_tls(Path(found)):
            return Path(found)
    pytest.skip("no redis-server or valkey-server on PATH speaks TLS (Debian: apt install redis-server)")


async def test_it_works_with_a_server_that_speaks_tls_itself(
    tmp_path: Path, authority: Authority, clock: Clock
) -> None:
    """Only with TLS: client certificates are required, and the user is the same as elsewhere."""
    binary = _native()
    port, plain = free_ports(2)
    certificate, key = authority.server_files()
    lines = (
        f"tls-port {port}",
        f'tls-cert-file "{certificate}"',
        f'tls-key-file "{key}"',
        f'tls-ca-cert-file "{authority.ca}"',
        "tls-auth-clients yes",
    )
    node = Node("native", plain, directory=tmp_path / "native", binary=binary, lines=lines)
    await node.start()
    try:
        await node.command(*_setuser())  # of any age
        ours, our_key = authority.client()
        url = f"rediss://mintonce:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={authority.ca}"
        async with reaching(f"{url}&ssl_certfile={ours}&ssl_keyfile={our_key}", clock) as store:
            await everything(store, clock)
        async with reaching(url, clock) as bare:
            with pytest.raises(StoreUnavailable):
                await bare.ping()
        assert {denied.partition("|")[0] for denied in await refused(node)} <= {"client"}
    finally:
        await node.kill()
