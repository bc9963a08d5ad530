"""What a living replica knows shows in no repr, and nothing that a CLI or a child gets to see has it."""

import asyncio
import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from attack.arena import VICTIM_AUDIENCE, arena

from mintonce import AsyncTokenClient, MintonceError
from mintonce.credentials import ApiKeyFile
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.events import MintStarted
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.auth import ClientProof
from support.faulty_issuer import Fault, FaultyIssuer
from support.house import AUDIENCE, CLIENT, HASHER, House, house
from support.leaks import LeakChecker
from support.options import redis_store
from support.surroundings import CLIENT_SECRET, issuer_with_log
from support.waiting import wait_until

OURS = ("mintonce_server.", "mintonce.")
PEERS = ("mintonce_dev.", "mintonce.v1.")
"""The practice issuer knows the secret; generated messages are what is sent, and are not printed."""
LONGEST = 20_000
"""Characters of a repr that are looked at."""


def living() -> Iterator[object]:
    """Every object of ours that the garbage collector knows, but for those that play the peer, with their contents."""
    for thing in gc.get_objects():
        module = str(getattr(cast(object, type(thing)), "__module__", ""))
        if module.startswith(OURS) and not module.startswith(PEERS):
            yield thing
            if not isinstance(thing, Secret | ClientProof):  # whose contents must be sent; they are not printed
                yield from (inner for inner in gc.get_referents(thing) if isinstance(inner, dict | list | tuple | set))


def shown(leaks: LeakChecker) -> list[str]:
    """Where a repr gives something away."""
    found: set[str] = set()
    kinds: Counter[str] = Counter()
    for thing in living():
        kind = type(thing).__qualname__
        kinds[kind] += 1
        found.update(leaks.find(f"a {kind}", f"{thing!r:.{LONGEST}} {thing!s:.{LONGEST}}"))
    # The interesting ones are there, or the search would prove nothing.
    assert kinds.keys() >= {"Secret", "Token", "Broker", "RedisStore", "ClientCredentials", "TokenEndpoint"}
    return sorted(found)


async def lived_through(replica: House, issuer: FaultyIssuer, leaks: LeakChecker) -> None:
    """A token in memory, one on its way, one refused, one rejected, a watch."""
    async with AsyncTokenClient(replica.target) as client, client.watch(CLIENT, AUDIENCE, timeout=20.0) as watch:
        leaks.know_token((await anext(watch)).access_token)
        token = await client.get(CLIENT, "https://second.example.com/")
        leaks.know_token(token.access_token)
        await client.reject(CLIENT, "https://second.example.com/", token=token)
        issuer.fault = Fault(status=401, body=CLIENT_SECRET)
        with pytest.raises(MintonceError):
            await client.get(CLIENT, "https://refused.example.com/")
        issuer.fault, before = Fault(latency=0.5), len(replica.events(MintStarted))
        under_way = asyncio.create_task(client.get(CLIENT, "https://slow.example.com/"))
        await wait_until(lambda: len(replica.events(MintStarted)) > before)
        found = shown(leaks)
        await under_way
        assert found + shown(leaks) == []


async def test_no_object_of_a_living_replica_shows_a_secret(tmp_path: Path) -> None:
    """Whatever is printed by mistake: the broker, its memory, the store, connections, tasks, requests."""
    leaks = LeakChecker()
    leaks.know("the client's secret", CLIENT_SECRET)
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
        async with EmbeddedValkey(tmp_path / "valkey", persist=False) as valkey:
            clock = SystemClock()
            store = redis_store(valkey.url, hasher=HASHER, clock=clock, deadline=5.0)
            try:
                async with house(issuer.token_url, store=store, clock=clock) as replica:
                    await lived_through(replica, issuer, leaks)
            finally:
                await store.close()


async def test_nothing_around_a_server_tells_what_it_knows(tmp_path: Path) -> None:
    """Its arguments, those and the environment of its children, the audit log, what `check` and `get` print."""
    leaks = LeakChecker()
    leaks.know("the client's secret", CLIENT_SECRET)
    async with arena(tmp_path) as here:
        leaks.know("an API key", here.victim)
        leaks.know("another API key", here.attacker)
        key = tmp_path / "victim.key"
        key.touch(mode=0o600)
        key.write_text(here.victim)
        async with AsyncTokenClient(here.target, bearer=ApiKeyFile(key)) as client:
            token = await client.get("default", VICTIM_AUDIENCE)
            leaks.know_token(token.access_token)
            with pytest.raises(MintonceError) as denied:
                await client.get("default", "https://elsewhere.example.com/")
        found = (
            leaks.find_in_exception(denied.value) + leaks.find_in_file(here.audit) + leaks.find_in_file(here.server.log)
        )
        found += [leak for pid in family(here.server.process.pid) for leak in leaks.find_in_arguments(pid)]
        children = family(here.server.process.pid)[1:] + family(here.valkey.pid)
        found += [leak for pid in children for leak in leaks.find(f"the environment of {pid}", environment(pid))]
        said = await asyncio.to_thread(printed, here.target, key)
        assert said.count("PERMISSION_DENIED") == 1, said
        assert found + leaks.find("what the CLI printed", said) == []
        assert leaks.find("the answer", token.access_token)


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


def printed(target: str, key: Path) -> str:
    """What `mintonce get` says of a refusal, and of the help that it gives."""
    environ = {**os.environ, "MINTONCE_TARGET": target, "MINTONCE_API_KEY_FILE": str(key)}
    asked = [sys.executable, "-m", "mintonce", "get", "default", "https://elsewhere.example.com/"]
    ended = subprocess.run(asked, env=environ, capture_output=True, text=True, timeout=20, check=False)
    return ended.stdout + ended.stderr
