"""Replicas as processes, while a store, an issuer or the wake channel says what it never should: none of them ends.

READ_ONLY_SECONDS=10 lengthens the outage of the first test.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from mintonce import MintonceError
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from support.asking import Answer, Served, asking, start
from support.broken_tls import BREAKS, broken_tls
from support.eventually import eventually
from support.fault_proxy import fault_proxy
from support.garbage import REPLIES
from support.servers import Command, looking_into, names
from support.surroundings import CLIENT_ID, CLIENT_SECRET, smallest_settings
from support.tls import Authority
from support.topologies import single

READ_ONLY_SECONDS = float(os.environ.get("READ_ONLY_SECONDS", "2"))
KEYS = [f"https://api-{number}.example.com/" for number in range(40)]
AUDIENCE = KEYS[0]
WAKES = (
    b"",
    b"x" * 100_000,
    b"\x00\xff\xfe",
    b"1 commit %b " + b"9" * 5_000,
    b"2 commit %b " + b"9" * 5_000 + b" " + b"0" * 32,
    b"2 reject %b 9223372036854775807 " + b"0" * 32,
    b"1 reject %b 1",
)
GOOD = b'{"access_token":"of-the-broken-one","token_type":"Bearer","expires_in":1}'


@asynccontextmanager
async def all_asked(fleet: Sequence[Served]) -> AsyncGenerator[list[Answer]]:
    """A caller at each replica asks for one key after the other, on and on."""
    answers: list[Answer] = []

    async def on_and_on(served: Served) -> None:
        for audience in itertools.cycle(KEYS):
            answers.append(await served.ask(audience, timeout=5.0))  # noqa: PERF401 - endless

    callers = [asyncio.create_task(on_and_on(served)) for served in fleet]
    try:
        yield answers
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


def check_alive(fleet: Sequence[Served]) -> None:
    """All run, and nothing unforeseen was met."""
    for served in fleet:
        assert served.server.process.returncode is None
        assert served.server.events("unexpected_error") + served.server.events("internal_error") == []
        assert "Traceback" not in served.server.log.read_text()


async def emptied_and_read_only(command: Command) -> None:
    """As a replica that was promoted by mistake before it had any data, and demoted again."""
    await command("REPLICAOF", "127.0.0.1", 1)
    await command("CONFIG", "SET", "replica-read-only", "no")
    await command("FLUSHALL")
    await command("SCRIPT", "FLUSH")
    await command("CONFIG", "SET", "replica-read-only", "yes")


@pytest.mark.slow
async def test_an_empty_read_only_store_ends_no_replica(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """Three replicas and 40 keys in use: memory carries every key through it, and not one more POST comes of it."""
    async with AsyncExitStack() as stack:
        quick = {"REVALIDATE_INTERVAL": "500ms", "REDIS__TIMEOUT": "250ms"}
        fleet = await start(stack, tmp_path, settings | quick, 3)
        command = await stack.enter_async_context(looking_into(valkey.url))
        for served in fleet:
            await asyncio.gather(*(served.get(audience) for audience in KEYS))
        async with all_asked(fleet) as answers:
            await emptied_and_read_only(command)
            await asyncio.sleep(READ_ONLY_SECONDS)
            await command("REPLICAOF", "NO", "ONE")
            await eventually(lambda: names(command), lambda all_: sum(n.endswith(":t") for n in all_) == len(KEYS))
        check_alive(fleet)
        assert [answer.error for answer in answers if answer.error] == []
        assert len(answers) >= len(KEYS)
        assert issuer.posts == len(KEYS)


@pytest.mark.slow
async def test_what_others_publish_ends_no_replica(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """It is dropped and counted; genuine messages are heard as before, and no token is lost by a forged rejection."""
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings, 2)
        command = await stack.enter_async_context(looking_into(valkey.url))
        before = await fleet[0].get(AUDIENCE)
        watch = await stack.enter_async_context(fleet[1].client.watch("default", AUDIENCE))
        assert (await anext(watch)).access_token == before.access_token
        (record,) = [name for name in await names(command) if name.endswith(":t")]
        key_hash = record.partition("{")[2].partition("}")[0].encode()
        for text in WAKES:
            assert await command("PUBLISH", "mintonce:wake", text.replace(b"%b", key_hash)) == 2
        assert (await fleet[0].get(AUDIENCE)).access_token == before.access_token
        await fleet[0].client.rotate("default", AUDIENCE)
        async with asyncio.timeout(5.0):
            assert (await anext(watch)).generation > before.generation
        check_alive(fleet)
        for served in fleet:
            (line,) = served.server.events("wake_dropped")
            assert line["count"] == 1  # the others wait for the next report
        assert issuer.posts == 2


@pytest.mark.slow
async def test_one_issuers_broken_tls_is_its_own_trouble(
    tmp_path: Path, issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """Every kind of garbage below and above TLS: its callers learn whose fault it is, another issuer's go on."""
    authority = Authority(tmp_path)
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(broken_tls(authority.server(), GOOD))
        (served,) = await start(stack, tmp_path, two_issuers(peer.url, authority.ca, issuer, valkey.url), 1)
        for number, kind in enumerate(BREAKS):
            peer.breaks = BREAKS[kind]
            error = await eventually(lambda: _failure(served), _is_of_a_mint, within=10.0)
            assert error.reason in ("ISSUER_UNAVAILABLE", "ISSUER_MALFORMED"), kind
            assert (await served.client.get("good", f"https://{number}.example.com/")).access_token
        peer.breaks = None
        assert not await eventually(lambda: _reason(served), lambda reason: not reason, within=10.0)
        check_alive([served])


_numbers = itertools.count()


async def _failure(served: Served) -> MintonceError:
    """Why a caller of the broken issuer gets no token, for a key that no caller has requested."""
    with pytest.raises(MintonceError) as caught:
        await served.client.get("broken", f"https://broken-{next(_numbers)}.example.com/", timeout=5.0)
    return caught.value


def _is_of_a_mint(error: MintonceError) -> bool:
    """And not the memory of a failure before, which all keys of an issuer share for a second."""
    return "a moment ago" not in str(error)


async def _reason(served: Served) -> str:
    """ "" if such a caller gets one."""
    try:
        token = await served.client.get("broken", f"https://broken-{next(_numbers)}.example.com/", timeout=5.0)
    except MintonceError as error:
        return error.reason
    assert token.access_token == "of-the-broken-one"
    return ""


@pytest.mark.slow
async def test_garbled_replies_of_the_store_end_no_replica(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """Memory serves meanwhile; when the replies are right again, so is all the rest."""
    async with AsyncExitStack() as stack:
        topology = await stack.enter_async_context(single(tmp_path / "server"))
        proxy = await stack.enter_async_context(fault_proxy(topology.servers[0].port))
        url = f"{topology.url.rpartition(':')[0]}:{proxy.port}/0"
        quick = {"REVALIDATE_INTERVAL": "200ms", "REDIS__TIMEOUT": "250ms"}
        (served,) = await start(stack, tmp_path, smallest_settings(issuer, url) | quick, 1)
        token = await served.get(AUDIENCE)
        async with asking([served], AUDIENCE, timeout=5.0) as answers:
            for garbage in REPLIES.values():
                proxy.garbage = garbage
                proxy.cut()  # the subscription sees it, too
                await asyncio.sleep(0.1)
        proxy.garbage = None
        proxy.cut()
        check_alive([served])
        assert {answer.token.access_token if answer.token else answer.error for answer in answers} == {
            token.access_token
        }
        rotated = await eventually(lambda: _rotated(served), bool, within=10.0)
        assert rotated


def two_issuers(broken_url: str, ca: Path, good: PracticeIssuer, redis_url: str) -> dict[str, str]:
    """One client at each."""
    both = {"broken": broken_url, "good": good.token_url}
    chosen = {"REDIS_URL": redis_url, "ISSUERS__BROKEN__CA_FILE": str(ca), "ISSUERS__GOOD__REQUEST": "json"}
    for name, url in both.items():
        chosen |= {
            f"ISSUERS__{name.upper()}__TOKEN_URL": url,
            f"CLIENTS__{name.upper()}__ISSUER": name,
            f"CLIENTS__{name.upper()}__CLIENT_ID": CLIENT_ID,
            f"CLIENTS__{name.upper()}__CLIENT_SECRET": CLIENT_SECRET,
        }
    return chosen


async def _rotated(served: Served) -> bool:
    try:
        return bool((await served.client.rotate("default", AUDIENCE)).generation)
    except MintonceError:
        return False
