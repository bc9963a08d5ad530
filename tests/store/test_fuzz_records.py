"""Whatever an attacker writes into the store: no crash, and only the committed token."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.ports import Backoff, Hit, Lease, Wait
from mintonce_server.core.token import MAX_LIFETIME, Token
from mintonce_server.store import RedisStore
from mintonce_server.store.names import USUAL
from support.options import redis_store
from support.samples import HASHER, KEY, acquire_request, any_token, load_all, minted, shared
from support.servers import Command, looking_into, valkey_binary

LIFETIME = 100.0
RECORD_FIELDS = ("f", "exp", "refresh", "cv", "life", "leeway", "cap", "payload", "print")
META_FIELDS = ("f", "bar", "cv", "n", "until", "failure", "until_cv", "rejected", "rejected_print", "rejected_at")
NASTY = (b"", b"-1", b"0", b"nan", b"inf", b"-inf", b"1e308", b"0x7fffffffffffffff", b"9" * 40, b"1.5", b" 7", b"{}")
VALUES = st.sampled_from(NASTY) | st.binary(max_size=60) | st.integers().map(lambda number: str(number).encode())
GONE = st.none()


class Stage(NamedTuple):
    """A server, the loop to talk to it, and the time."""

    run: asyncio.Runner
    url: str
    clock: SystemClock


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server and an event loop of its own: hypothesis calls synchronous tests."""
    with asyncio.Runner() as run, _served(run, tmp_path_factory.mktemp("fuzz")) as url:
        yield Stage(run, url, SystemClock())


@contextmanager
def _served(run: asyncio.Runner, folder: Path) -> Generator[str]:
    valkey = EmbeddedValkey(folder, persist=False, binary=valkey_binary())
    yield run.run(valkey.__aenter__()).url
    run.run(valkey.__aexit__(None, None, None))


@asynccontextmanager
async def _store(stage: Stage, alarms: list[str]) -> AsyncGenerator[tuple[RedisStore, Command]]:
    def alarm(_key_hash: str, what: str) -> None:
        alarms.append(what)

    store = redis_store(
        stage.url, hasher=HASHER, clock=stage.clock, lease_seconds=60.0, deadline=5.0, on_unreadable=alarm
    )
    async with looking_into(stage.url) as command:
        await command("FLUSHALL")
        try:
            yield store, command
        finally:
            await store.close()


async def _write(command: Command, name: str, changes: dict[str, bytes | None]) -> None:
    for field, value in changes.items():
        await (command("HDEL", name, field) if value is None else command("HSET", name, field, value))


def _is_right(stage: Stage, found: Token | None, committed: Token) -> bool:
    """Nothing, or the committed text with a possible lifetime."""
    if found is None:
        return True
    left = found.remaining(stage.clock.monotonic())
    return found.access_token == committed.access_token and found.key == KEY and left <= found.lifetime <= MAX_LIFETIME


async def _all_reads(stage: Stage, record: dict[str, bytes | None], meta: dict[str, bytes | None]) -> None:
    alarms: list[str] = []
    async with _store(stage, alarms) as (store, command):
        committed = await shared(store, stage.clock, lifetime=LIFETIME)
        names = USUAL.keys(store.key_hash(KEY))
        await _write(command, names[0], record)
        await _write(command, names[2], meta)

        assert all(_is_right(stage, token, committed) for token in await load_all(store, [KEY]))
        assert all(_is_right(stage, token, committed) for token in (await store.list("", 10, any_token)).tokens)
        assert len(await store.generations([KEY])) == 1
        await store.reseal()
        answer = await store.acquire(KEY, acquire_request())
        assert isinstance(answer, Hit | Lease | Wait | Backoff)
        if isinstance(answer, Hit | Backoff):
            assert _is_right(stage, answer.token, committed)
        if isinstance(answer, Lease):
            assert isinstance(await store.commit(answer, minted(stage.clock, "next")), Token)
            after = await store.acquire(KEY, acquire_request())
            assert isinstance(after, Hit)
            assert after.token.access_token.reveal() == "next"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"f": b"nan"})
@example({"f": b"inf"})
@example({"f": b"-7"})
@example({"exp": b"inf"})
@example({"exp": b"9" * 15})
@example({"life": b"9" * 15})
@example({"refresh": b"soon"})
@example({"refresh": None})
@example({"payload": None})
@example({"payload": b'{"v":1,"client":"billing"}'})
@given(st.dictionaries(st.sampled_from(RECORD_FIELDS), VALUES | GONE, min_size=1, max_size=4))
def test_a_damaged_record_is_a_miss(stage: Stage, changes: dict[str, bytes | None]) -> None:
    """Or the token is unchanged; the next one replaces it, and is found."""
    stage.run.run(_all_reads(stage, changes, {}))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(META_FIELDS), VALUES | GONE, min_size=1, max_size=4))
def test_what_is_known_of_a_key_may_be_damaged(stage: Stage, changes: dict[str, bytes | None]) -> None:
    """Its token is right if there is one."""

    async def look() -> None:
        async with _store(stage, []) as (store, command):
            committed = await shared(store, stage.clock, lifetime=LIFETIME)
            await _write(command, USUAL.keys(store.key_hash(KEY))[2], changes)
            answer = await store.acquire(KEY, acquire_request())
            if isinstance(answer, Hit | Backoff):
                assert _is_right(stage, answer.token, committed)
            if isinstance(answer, Lease):
                await store.commit(answer, minted(stage.clock, "next"))

    stage.run.run(look())
