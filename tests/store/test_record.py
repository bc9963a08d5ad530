"""A record that cannot be read counts as missing."""

import json

import pytest

from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.core.errors import Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Backoff, Failure, Hit
from mintonce_server.core.token import Minted, Token
from mintonce_server.store import RedisStore
from mintonce_server.store.names import USUAL
from mintonce_server.store.record import decode, encode
from support.samples import HASHER, KEY, OTHER, acquire_request, any_token, as_lease, lease_of, minted, shared
from support.servers import Command

MINTED = minted(SystemClock(), "the-text")


def token_of(mint: Minted, key: TokenKey = KEY) -> Token:
    return Token.of(mint, key, HASHER(key), generation=7, credential_version=1, unix_minus_monotonic=0.0)


def test_a_payload_comes_back_as_it_was() -> None:
    """Names, text, type and granted scopes."""
    payload = decode(encode(token_of(MINTED)).encode())
    assert payload is not None
    assert (payload.key, payload.access_token) == (KEY, MINTED.access_token)
    assert (payload.token_type, payload.granted) == (MINTED.token_type, MINTED.scopes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 1),
        ("v", 3),
        ("v", None),
        ("client", "no such name"),
        ("scopes", "orders"),
        ("granted", [1]),
        ("token", None),
        ("token", ""),
        ("token", "a\r\nb"),
        ("token", "a" * 16_385),
        ("type", "Bearer\x1b[2J"),
        ("type", "B" * 65),
        ("granted", ["ok", "\x1b[2J"]),
        ("granted", ["a"] * 1001),
        ("granted_audience", ["a" * 1025]),
        ("granted_audience", ["\u202e"]),
    ],
)
def test_what_is_not_of_this_version_is_not_read(field: str, value: object) -> None:
    """Another release may have written it, or an attacker who aims at callers and terminals."""
    document = json.loads(encode(token_of(MINTED))) | {field: value}
    assert decode(json.dumps(document).encode()) is None


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b"{}", b"null", b'"text"', b"[" * 100_000])
def test_rubbish_is_not_read(text: bytes) -> None:
    """Nor does it raise an error."""
    assert decode(text) is None


async def _spoil(store: RedisStore, command: Command, payload: str) -> None:
    record, _, _ = USUAL.keys(store.key_hash(KEY))
    await command("HSET", record, "payload", payload)


async def test_a_record_of_another_release_is_replaced(store: RedisStore, command: Command, clock: Clock) -> None:
    """A replica that cannot read it requests a newer one, so that replicas do not go round in circles."""
    unreadable = await shared(store, clock)
    await _spoil(store, command, '{"v":2}')
    assert await store.load([KEY]) == [None]
    assert (await store.list("", 10, any_token)).tokens == []
    lease = as_lease(await store.acquire(KEY, acquire_request()))
    assert lease.generation > unreadable.generation
    assert isinstance(await store.commit(lease, minted(clock)), Token)
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)


async def test_a_record_under_a_wrong_name_is_noticed(store: RedisStore, command: Command, clock: Clock) -> None:
    """Two records were swapped: no caller gets a token of another key."""
    await shared(store, clock)
    await _spoil(store, command, encode(token_of(MINTED, OTHER)))
    assert await store.load([KEY]) == [None]
    assert (await store.list("", 10, any_token)).tokens == []
    as_lease(await store.acquire(KEY, acquire_request()))


async def test_a_backoff_shows_nothing_unreadable(store: RedisStore, command: Command, clock: Clock) -> None:
    """It then has no token."""
    token = await shared(store, clock)
    await _spoil(store, command, "rubbish")
    await store.fail(await lease_of(store, newer_than=token.generation), Failure(Reason.ISSUER_UNAVAILABLE), 30.0)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert answer.token is None


async def test_a_reason_of_another_release_reads_as_trouble(store: RedisStore, command: Command, clock: Clock) -> None:
    """A back-off counts with any reason of a newer release."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_REFUSED, "invalid_client"), 30.0)
    _, _, meta = USUAL.keys(store.key_hash(KEY))
    await command("HSET", meta, "failure", "ISSUER_ON_HOLIDAY until_monday")
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert answer.failure == Failure(Reason.ISSUER_UNAVAILABLE, "until_monday")


@pytest.mark.parametrize("code", ["x\x1b[2J", "a" * 65, "secret=1", "\xff"])
async def test_an_error_code_that_is_none_is_left_out(
    store: RedisStore, command: Command, clock: Clock, code: str
) -> None:
    """It is sent to callers, logs and terminals."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_REFUSED, "invalid_client"), 30.0)
    _, _, meta = USUAL.keys(store.key_hash(KEY))
    await command("HSET", meta, "failure", f"ISSUER_REFUSED {code}")
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert answer.failure == Failure(Reason.ISSUER_REFUSED, "")
