"""What a call passes before it is worked on: callers who are known, and messages that come in time."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient
from mintonce.v1 import tokens_pb2, types_pb2
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.calls import admission
from mintonce_server.core.policy import Policy
from mintonce_server.observability import logs
from mintonce_server.observability.quiet import AT_ONCE
from support.gatehouse import Gatehouse, gatehouse, rule
from support.house import AUDIENCE, CLIENT, house
from support.http2 import END_HEADERS, END_STREAM, GET_TOKEN, RST_STREAM, Peer, header_block, message, peer
from support.options import QUOTA_OPTIONS, listen_options
from support.waiting import wait_until

ANY = "127.0.0.1:0"
SOON = 0.2
OPTIONS = listen_options(ANY, message_timeout=SOON)
WANTED = message(
    tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE)).SerializeToString()
)
OK, INVALID, EXHAUSTED, UNKNOWN_METHOD, NAMELESS = "0", "3", "8", "12", "16"
REFUSED_STREAM = 7


@pytest.fixture
async def guarded(tmp_path: Path, issuer: PracticeIssuer) -> AsyncIterator[Gatehouse]:
    quotas = replace(QUOTA_OPTIONS, max_calls_per_caller=3)
    async with gatehouse(tmp_path, issuer, quotas, server_options=OPTIONS) as running:
        running.policy = Policy([rule("all", "key:*")])
        yield running


def block(guarded: Gatehouse, name: str, path: str = GET_TOKEN) -> bytes:
    """Headers with the API key of this caller, or without any for "anonymous"."""
    key = () if name == "anonymous" else (("authorization", f"Bearer {guarded.keys[name]}"),)
    return header_block(path, key)


async def code_of(wire: Peer, stream: int) -> str:
    await wait_until(lambda: "grpc-status" in wire.ended.get(stream, {}))
    return wire.ended[stream]["grpc-status"]


async def test_headers_without_an_identity_are_refused_before_any_message(guarded: Gatehouse) -> None:
    """Such a call holds nothing, and stands in the audit log."""
    async with peer(guarded.replica.target) as wire:
        assert await code_of(wire, wire.open(block(guarded, "anonymous"))) == NAMELESS
    (record,) = guarded.audit
    assert (record.caller, record.decision, record.act) == ("unknown", "unauthenticated", "get")
    assert record.peer.startswith("ipv4:127.0.0.1:")


async def test_a_message_that_does_not_come_in_time_ends_the_call(guarded: Gatehouse) -> None:
    """Of a caller who is known, too; and a missing one is reported at once."""
    async with peer(guarded.replica.target) as wire:
        late, empty = (
            wire.open(block(guarded, "billing")),
            wire.open(block(guarded, "billing"), flags=END_HEADERS | END_STREAM),
        )
        assert await code_of(wire, late) == INVALID
        assert "sent no message within 0.2 s" in wire.ended[late]["grpc-message"]
        assert await code_of(wire, empty) == INVALID
    assert {(record.caller, record.decision) for record in guarded.audit} == {("key:billing", "deny")}


async def test_messages_are_waited_for_at_each_address(issuer: PracticeIssuer) -> None:
    """Also where several have the same setting, such as port 0."""
    options = listen_options(ANY, bearer_listen=ANY, health_listen=ANY, message_timeout=SOON)
    async with house(issuer.token_url, server_options=options) as replica:
        server = replica.server
        for target in (replica.target, server.bearer_address, server.health_address):
            async with peer(str(target)) as wire:
                assert await code_of(wire, wire.open(header_block("/grpc.health.v1.Health/Check"))) == INVALID


async def test_a_message_that_comes_a_little_later_is_taken(guarded: Gatehouse) -> None:
    """Headers and message may travel apart."""
    async with peer(guarded.replica.target) as wire:
        stream = wire.open(block(guarded, "billing"))
        await wire.writer.drain()
        await asyncio.sleep(0)
        wire.finish(stream, WANTED)
        assert await code_of(wire, stream) == OK


async def test_calls_that_wait_for_their_message_count_for_their_caller(guarded: Gatehouse) -> None:
    """From the headers on; when they are over, there is room again."""
    async with peer(guarded.replica.target) as wire:
        streams = [wire.open(block(guarded, "billing")) for _ in range(3)]
        one_more = wire.open(block(guarded, "billing"), body=WANTED)
        assert await code_of(wire, one_more) == EXHAUSTED
        assert await code_of(wire, wire.open(block(guarded, "cart"), body=WANTED)) == OK
        for stream in streams:
            wire.cancel(stream)
        assert guarded.quotas
        seats = guarded.quotas.calling("key:billing")
        await wait_until(lambda: not seats.taken)
        assert await code_of(wire, wire.open(block(guarded, "billing"), body=WANTED)) == OK


@pytest.mark.parametrize("name", ["anonymous", "billing"])
async def test_a_method_that_does_not_exist_is_unimplemented(guarded: Gatehouse, name: str) -> None:
    """Without waiting for a message."""
    async with peer(guarded.replica.target) as wire:
        assert await code_of(wire, wire.open(block(guarded, name, "/no.such/Method"))) == UNKNOWN_METHOD


async def test_one_connection_has_so_many_streams_and_a_channel_waits_with_more(
    issuer: PracticeIssuer,
) -> None:
    """Who does not keep to it gets a refusal for each stream beyond."""
    options = listen_options(ANY, max_streams_per_connection=5)
    async with house(issuer.token_url, server_options=options) as replica:
        async with peer(replica.target) as wire:
            await wait_until(lambda: wire.settings)
            streams = [wire.open(header_block(GET_TOKEN)) for _ in range(8)]
            await wait_until(lambda: wire.frames[RST_STREAM] == 3)
            assert wire.reset == dict.fromkeys(streams[5:], REFUSED_STREAM)
        async with AsyncTokenClient(replica.target, timeout=10.0) as client:
            tokens = await asyncio.gather(*(client.get(CLIENT, AUDIENCE) for _ in range(50)))
        assert len({token.access_token for token in tokens}) == 1


async def test_calls_without_a_message_make_room_for_one_another(
    monkeypatch: pytest.MonkeyPatch, issuer: PracticeIssuer
) -> None:
    """Where callers have no names, the connection with most of them loses its oldest; another one does not."""
    monkeypatch.setattr(admission, "MAX_WAITING", 20)
    async with (
        house(issuer.token_url, server_options=listen_options(ANY)) as replica,
        peer(replica.target) as flooder,
        peer(replica.target) as other,
    ):
        await wait_until(lambda: flooder.settings and other.settings)
        waiting = other.open(header_block(GET_TOKEN))
        flood = [flooder.open(header_block(GET_TOKEN)) for _ in range(100)]
        assert await code_of(flooder, flood[0]) == EXHAUSTED
        await wait_until(lambda: flooder.codes()[EXHAUSTED] >= 80)
        other.finish(waiting, WANTED)
        assert await code_of(other, waiting) == OK
        assert flood[-1] not in flooder.ended


async def test_failed_calls_cannot_fill_the_log(guarded: Gatehouse, capsys: pytest.CaptureFixture[str]) -> None:
    """Some are told at once and then one a second, for each caller and reason."""
    logs.configure("info", "json")
    capsys.readouterr()
    async with peer(guarded.replica.target) as wire:
        for _ in range(5 * AT_ONCE):
            wire.open(block(guarded, "anonymous"))
        await wait_until(lambda: wire.codes()[NAMELESS] == 5 * AT_ONCE)
        assert await code_of(wire, wire.open(block(guarded, "cart"), body=message(b"\xff"))) == INVALID
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    reasons = [line["reason"] for line in told if line["event"] == "call_failed"]
    assert AT_ONCE <= reasons.count("UNAUTHENTICATED") <= AT_ONCE + 2
    assert reasons[-1] == "INVALID_REQUEST"
