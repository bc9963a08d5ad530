"""Everything that can be renewed is renewed while callers call: none of them notices, and nothing is minted for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, MintonceError
from mintonce.credentials import Tls
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.core.secret import Secret
from mintonce_server.store.keyring import new_keyring, with_new_key
from support.certificates import Authority
from support.replicas import Replica, replica
from support.surroundings import CLIENT_ID, CLIENT_SECRET, posts, smallest_settings
from support.waiting import wait_until

CALLER = "spiffe://prod.example.com/ns/pay/sa/billing"
AUDIENCES = [f"https://api-{number}.example.com/" for number in range(5)]
NEXT_SECRET = "the-next-secret-canary"  # of the practice issuer in a test only
BETWEEN = 0.01
"""Seconds between the calls of one of two callers: 200 a second in all."""

POLICY = """
[[rules]]
name = "{name}"
callers = ["{caller}"]
clients = ["*"]
audiences = ["https://**"]
"""


def write(path: Path, text: str) -> Path:
    """As an operator should: a new file takes the name of the old one."""
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text)
    return beside.replace(path)


@dataclass
class Load:
    """Two callers: one keeps its connection, the other opens a new one for every ten calls."""

    target: str
    tls: Tls
    answered: int = 0
    failed: list[MintonceError] = field(default_factory=list[MintonceError])
    texts: set[str] = field(default_factory=set[str])

    async def run(self, until: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as callers:
            callers.create_task(self._keeping(until))
            callers.create_task(self._reconnecting(until))

    async def _keeping(self, until: asyncio.Event) -> None:
        async with AsyncTokenClient(self.target, tls=self.tls, timeout=5.0) as client:
            while not until.is_set():
                await self._call(client)

    async def _reconnecting(self, until: asyncio.Event) -> None:
        while not until.is_set():
            async with AsyncTokenClient(self.target, tls=self.tls, timeout=5.0) as client:
                for _ in range(10):
                    await self._call(client)

    async def _call(self, client: AsyncTokenClient) -> None:
        try:
            token = await client.get("default", AUDIENCES[self.answered % len(AUDIENCES)])
            self.texts.add(token.access_token)
        except MintonceError as error:
            self.failed.append(error)
        self.answered += 1
        await asyncio.sleep(BETWEEN)


async def renewed(server: Replica, load: Load, what: str, change: Callable[[], object]) -> None:
    """The server says that it has the new one; and afterwards a hundred calls are answered."""
    before = len([line for line in server.events("reloaded") if line["what"] == what])
    change()
    await wait_until(lambda: len([line for line in server.events("reloaded") if line["what"] == what]) > before)
    enough = load.answered + 100
    await wait_until(lambda: load.answered > enough, timeout=20.0)


@dataclass
class House:
    """The files that guard a server, and the settings that name them."""

    directory: Path
    authority: Authority

    def __post_init__(self) -> None:
        self.keyring = write(self.directory / "keyring.toml", new_keyring())
        self.policy = write(self.directory / "policy.toml", POLICY.format(name="first", caller=CALLER))
        self.secret = write(self.directory / "secret", CLIENT_SECRET)
        self.served = self.authority.server()

    def settings(self, issuer: PracticeIssuer, redis_url: str) -> dict[str, str]:
        return {
            **smallest_settings(issuer, redis_url),
            "CLIENT_SECRET": "",
            "CLIENT_SECRET_FILES": str(self.secret),
            "TLS__CERTIFICATE_FILE": str(self.served.certificate),
            "TLS__KEY_FILE": str(self.served.key),
            "TLS__CLIENT_CA_FILE": str(self.authority.ca),
            "TLS__TRUST_DOMAINS": "prod.example.com",
            "POLICY_FILE": str(self.policy),
            "SEALING_KEYS_FILE": str(self.keyring),
            "AUDIT_FILE": str(self.directory / "audit.jsonl"),
        }

    def caller(self) -> Tls:
        shown = self.authority.caller(CALLER)
        return Tls(ca_file=self.authority.ca, certificate_file=shown.certificate, key_file=shown.key)

    async def renew_all(self, server: Replica, load: Load, known: dict[str, Secret]) -> None:
        """One after the other, each with calls before and after."""
        await wait_until(lambda: load.answered > 50, timeout=20.0)
        keys = with_new_key(self.keyring.read_text(), seal_from=0.0)
        await renewed(server, load, "sealing keys", lambda: write(self.keyring, keys))
        await renewed(server, load, "certificate", self.authority.server)
        policy = POLICY.format(name="second", caller=CALLER)
        await renewed(server, load, "policy", lambda: write(self.policy, policy))
        known[CLIENT_ID] = Secret(NEXT_SECRET)
        await renewed(server, load, "secret of default", lambda: write(self.secret, NEXT_SECRET))


@pytest.mark.slow
async def test_no_caller_notices_a_rotation(tmp_path: Path) -> None:
    """Sealing key, server certificate, policy and client secret, at 200 calls a second: no failed call, no mint."""
    house, known = House(tmp_path, Authority(tmp_path)), {CLIENT_ID: Secret(CLIENT_SECRET)}
    tls, log, until = house.caller(), tmp_path / "posts.jsonl", asyncio.Event()
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with PracticeIssuer(known, lifetime=3600.0, log=log) as issuer:
            async with replica(tmp_path, house.settings(issuer, valkey.url)) as server:
                load = Load(server.target, tls)
                async with asyncio.TaskGroup() as running:
                    running.create_task(load.run(until))
                    await house.renew_all(server, load, known)
                    until.set()
                assert [str(error) for error in load.failed] == []
                assert len(posts(log)) == len(load.texts) == len(AUDIENCES)

                async with AsyncTokenClient(server.target, tls=tls) as client:
                    await client.get("default", "https://new.example.com/")
                assert [post["status"] for post in posts(log)] == [200] * (len(AUDIENCES) + 1)
                assert NEXT_SECRET not in server.log.read_text()


@pytest.mark.slow
async def test_a_broken_new_file_changes_nothing(tmp_path: Path) -> None:
    """What was good goes on, and the log says what is wrong and how to mend it."""
    house = House(tmp_path, Authority(tmp_path))
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with PracticeIssuer({CLIENT_ID: Secret(CLIENT_SECRET)}, log=tmp_path / "posts.jsonl") as issuer:
            async with replica(tmp_path, house.settings(issuer, valkey.url)) as server:
                write(house.policy, "[[rules]]\nname = 1")
                write(house.served.certificate, "no certificate")
                write(house.keyring, new_keyring())
                await wait_until(lambda: len(server.events("reload_failed")) == 3, timeout=10.0)
                async with AsyncTokenClient(server.target, tls=house.caller(), timeout=5.0) as client:
                    assert (await client.get("default", AUDIENCES[0])).access_token
    assert all(line["remedy"] for line in server.events("reload_failed"))
