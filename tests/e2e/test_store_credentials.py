"""The store's certificates and password are renewed under load: no call fails, no replica mints alone or restarts."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from mintonce import MintonceError
from mintonce_dev.practice_issuer import PracticeIssuer
from support.asking import Served, start
from support.certificates import Authority
from support.nodes import Node, free_ports
from support.servers import valkey_binary
from support.surroundings import posts, smallest_settings
from support.tls import handing_on
from support.waiting import wait_until

RIGHTS = (
    "resetchannels",
    "~mintonce:*",
    "&mintonce:*",
    "+@read",
    "+@write",
    "+@scripting",
    "+@pubsub",
    "+@connection",
    "+time",
)
OLD, NEW = "the-old-password", "p@ss/the-new-password"
BETWEEN = 0.02
"""Seconds between the calls at one replica; each fifth is for a cold key."""


def write(path: Path, data: bytes) -> Path:
    """As an operator should: a new file takes the name of the old one."""
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_bytes(data)
    return beside.replace(path)


@dataclass
class Load:
    """Calls at every replica, warm keys and cold ones."""

    fleet: Sequence[Served]
    answered: int = 0
    failed: list[MintonceError] = field(default_factory=list[MintonceError])
    audiences: set[str] = field(default_factory=set[str])

    async def run(self, until: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as callers:
            for served in self.fleet:
                callers.create_task(self._ask(served, until))

    async def _ask(self, served: Served, until: asyncio.Event) -> None:
        while not until.is_set():
            audience = f"https://api-{self.answered // 5}.example.com/"
            self.audiences.add(audience)
            try:
                await served.get(audience)
            except MintonceError as error:
                self.failed.append(error)
            self.answered += 1
            await asyncio.sleep(BETWEEN)

    async def more(self, calls: int = 40) -> None:
        enough = self.answered + calls
        await wait_until(lambda: self.answered > enough, timeout=20.0)


class Store:
    """A server behind TLS that wants a certificate, with a user of ours."""

    def __init__(self, directory: Path, node: Node) -> None:
        self.node = node
        self.first, self.second = Authority(directory, "first"), Authority(directory, "second")
        self.url_file, self.ca = directory / "redis-url", directory / "redis-ca.pem"
        self.certificate, self.key = directory / "redis.crt", directory / "redis.key"
        self.context = self.met_with(self.first, [self.first])
        self.trust([self.first])
        self.show(self.first)

    def met_with(self, own: Authority, trusted: Sequence[Authority]) -> ssl.SSLContext:
        """What new connections find: the server's certificate, and whose it takes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served = own.server()
        context.load_cert_chain(served.certificate, served.key)
        for authority in trusted:
            context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def trust(self, authorities: Sequence[Authority]) -> None:
        write(self.ca, b"".join(authority.ca.read_bytes() for authority in authorities))

    def show(self, authority: Authority) -> None:
        """The replicas' own certificate: two files, written one after the other."""
        issued = authority.issue("mintonce", dns=["mintonce.example"])
        write(self.certificate, issued.certificate.read_bytes())
        write(self.key, issued.key.read_bytes())

    def url(self, port: int, password: str) -> bytes:
        options = f"ssl_ca_certs={self.ca}&ssl_certfile={self.certificate}&ssl_keyfile={self.key}"
        return f"rediss://mintonce:{quote(password, safe='')}@127.0.0.1:{port}/0?{options}".encode()


@asynccontextmanager
async def running(directory: Path) -> AsyncGenerator[tuple[Store, int]]:
    node = Node("store", free_ports(1)[0], directory=directory / "store", binary=valkey_binary(), lines=())
    try:
        await node.start()
        await node.command("ACL", "SETUSER", "mintonce", "on", f">{OLD}", *RIGHTS)
        store = Store(directory, node)
        async with handing_on(lambda: node.port, changing=lambda: store.context) as port:
            write(store.url_file, store.url(port, OLD))
            yield store, port
    finally:
        await node.kill()


@dataclass
class Fleet:
    """Two replicas under load."""

    replicas: Sequence[Served]
    load: Load

    def count(self, event: str) -> list[int]:
        return [len(served.server.events(event)) for served in self.replicas]

    async def renewed(self, change: Callable[[], object], event: str = "store_files_in_use") -> None:
        """Each replica says that it uses the new ones; and afterwards calls are answered."""
        before = self.count(event)
        change()
        await wait_until(
            lambda: all(now > then for now, then in zip(self.count(event), before, strict=True)), timeout=20.0
        )
        await self.load.more()


@asynccontextmanager
async def fleet(directory: Path, issuer: PracticeIssuer, store: Store) -> AsyncGenerator[Fleet]:
    """At the end it is seen that nothing was noticed."""
    settings = smallest_settings(issuer, "") | {"REDIS_URL_FILE": str(store.url_file)}
    del settings["REDIS_URL"]
    until = asyncio.Event()
    async with AsyncExitStack() as stack:
        replicas = await start(stack, directory, settings, 2)
        load = Load(replicas)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(until))
            await load.more()
            yield Fleet(replicas, load)
            until.set()
        assert [str(error) for error in load.failed] == []
        for served in replicas:
            assert served.server.events("store_failed") == []
            assert served.server.process.returncode is None
            assert not any(word in served.server.log.read_text() for word in (OLD, NEW, quote(NEW, safe="")))
    assert len(posts(directory / "posts.jsonl")) == len(load.audiences)


@pytest.mark.slow
async def test_certificates_and_authority(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """From one authority to another, at both ends; then every connection is broken, and only new ones can be made."""
    async with running(tmp_path) as (store, _), fleet(tmp_path, issuer, store) as replicas:
        both = [store.first, store.second]
        store.context = store.met_with(store.first, both)
        await replicas.renewed(lambda: store.trust(both))
        store.context = store.met_with(store.second, both)
        await replicas.renewed(lambda: store.show(store.second))
        store.context = store.met_with(store.second, [store.second])
        await replicas.renewed(lambda: store.trust([store.second]))
        await store.node.command("CLIENT", "KILL", "USER", "mintonce")
        await replicas.load.more()


@pytest.mark.slow
async def test_the_password(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """Both are good for a while, then only the new one, and every connection that used the old one is broken."""
    async with running(tmp_path) as (store, port), fleet(tmp_path, issuer, store) as replicas:
        await store.node.command("ACL", "SETUSER", "mintonce", f">{NEW}")
        await replicas.renewed(lambda: write(store.url_file, store.url(port, NEW)))
        await store.node.command("ACL", "SETUSER", "mintonce", f"<{OLD}")
        await store.node.command("CLIENT", "KILL", "USER", "mintonce")
        await replicas.load.more()


@pytest.mark.slow
async def test_a_password_that_the_store_does_not_take_yet(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """The file came first: the old password goes on, and the log says why, until the store takes the new one."""
    async with running(tmp_path) as (store, port), fleet(tmp_path, issuer, store) as replicas:
        await replicas.renewed(lambda: write(store.url_file, store.url(port, NEW)), "store_files_refused")
        told = replicas.replicas[0].server.events("store_files_refused")[0]
        assert "refused our user name or password" in told["detail"]
        await store.node.command("ACL", "SETUSER", "mintonce", f">{NEW}", f"<{OLD}")
        await wait_until(lambda: replicas.count("store_files_in_use") == [1, 1], timeout=10.0)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["another host", "open to others", "not a URL"])
async def test_a_bad_file_changes_nothing(tmp_path: Path, issuer: PracticeIssuer, change: str) -> None:
    """The log says what is wrong, and the store is used as before."""
    async with running(tmp_path) as (store, port), fleet(tmp_path, issuer, store) as replicas:
        bad = {
            "another host": store.url(port, OLD).replace(b"127.0.0.1", b"localhost"),
            "open to others": store.url(port, NEW),
            "not a URL": b"p@ss/word",
        }[change]

        def put() -> None:
            write(store.url_file, bad)
            if change == "open to others":
                store.url_file.chmod(0o644)

        await replicas.renewed(put, "reload_failed")
        told = replicas.replicas[0].server.events("reload_failed")[0]
        assert told["what"] == "store URL"
        assert told["remedy"]


@pytest.mark.slow
async def test_emptied_authorities_change_nothing(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """They are refused by name when they are read, not when the store is next connected to, and no key is blamed."""
    async with running(tmp_path) as (store, _), fleet(tmp_path, issuer, store) as replicas:
        await replicas.renewed(lambda: write(store.ca, b""), "reload_failed")
        for served in replicas.replicas:
            (told,) = served.server.events("reload_failed")
            assert told["what"] == "store TLS files"
            assert told["detail"] == f"{store.ca} is empty (ssl_ca_certs of the Redis URL)"
            assert "key" not in told["remedy"]
            assert served.server.events("reloaded") == []
            assert served.server.events("store_files_refused") == []


@pytest.mark.slow
async def test_changes_in_quick_succession_are_each_told_soon(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """What is under way on the connections before the last change holds no later change up."""
    async with running(tmp_path) as (store, port), fleet(tmp_path, issuer, store) as replicas:
        await store.node.command("ACL", "SETUSER", "mintonce", f">{NEW}")
        began = asyncio.get_running_loop().time()
        for password in (NEW, OLD, NEW):
            await replicas.renewed(partial(write, store.url_file, store.url(port, password)))
        # Three changes. Each of them would take six seconds more if it waited for the end of what is under way.
        assert asyncio.get_running_loop().time() - began < 9.0
