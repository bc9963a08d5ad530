"""Who is not known takes nothing from who is, nor one listener from another, nor one caller from the others."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc.aio import insecure_channel
from grpc_health.v1 import health_pb2

from mintonce import AsyncTokenClient, MintonceError
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.calls import admission
from mintonce_server.calls.authorize import Guards
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.limits import Quotas
from mintonce_server.core.policy import OPEN, Policy
from support.gatehouse import gatehouse, rule
from support.house import AUDIENCE, CLIENT, House, house
from support.http2 import GET_TOKEN, Peer, header_block, message, peer
from support.options import BROKER_OPTIONS, QUOTA_OPTIONS, listen_options
from support.waiting import wait_until

ANY = "127.0.0.1:0"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
HEALTH = message(health_pb2.HealthCheckRequest().SerializeToString())
FEW = 20
DEADLINE = 5.0


async def is_healthy(target: str) -> bool:
    """What a probe asks, within a second."""
    async with insecure_channel(target) as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)
        answer = await check(health_pb2.HealthCheckRequest().SerializeToString(), timeout=1.0)
    return health_pb2.HealthCheckResponse.FromString(answer).status == health_pb2.HealthCheckResponse.SERVING


async def watching(wire: Peer, count: int) -> list[int]:
    """So many watches of health."""
    await wait_until(lambda: wire.settings)
    return [wire.open(header_block(WATCH), body=HEALTH) for _ in range(count)]


async def test_watches_of_health_leave_room_for_probes(monkeypatch: pytest.MonkeyPatch, issuer: PracticeIssuer) -> None:
    """At each listener. Beyond a number, the connection with most of them loses its oldest, and others keep theirs."""
    monkeypatch.setattr(admission, "MAX_UNKNOWN", FEW)
    async with house(issuer.token_url, server_options=listen_options(ANY, health_listen=ANY)) as replica:
        probed = replica.server.health_address
        assert probed
        for target in (replica.target, probed):
            async with peer(target) as greedy, peer(target) as other:
                (kept,) = await watching(other, 1)
                await wait_until(lambda: other.ended)
                streams = await watching(greedy, 3 * FEW)
                await wait_until(lambda: greedy.codes()["8"] >= 2 * FEW)
                assert "grpc-status" in greedy.ended[streams[0]]
                assert "grpc-status" not in other.ended[kept]
                assert await is_healthy(replica.target)
                assert await is_healthy(probed)


async def test_calls_at_one_address_take_none_from_another(issuer: PracticeIssuer) -> None:
    """Each has as many as max_concurrent_rpcs says; probes are not among them."""
    options = listen_options(ANY, bearer_listen=ANY, health_listen=ANY, max_concurrent_rpcs=1)
    async with house(issuer.token_url, server_options=options) as replica:
        bearer, probed = replica.server.bearer_address, replica.server.health_address
        assert bearer
        assert probed
        async with AsyncTokenClient(replica.target, timeout=DEADLINE) as client, client.watch(CLIENT, AUDIENCE) as held:
            await anext(held)
            with pytest.raises(MintonceError) as caught:
                await client.get(CLIENT, AUDIENCE)
            assert caught.value.reason == "LIMIT_EXCEEDED"
            async with AsyncTokenClient(bearer, timeout=DEADLINE) as other:
                assert (await other.get(CLIENT, AUDIENCE)).access_token
            assert await is_healthy(replica.target)
            assert await is_healthy(probed)


async def test_a_connection_that_resets_its_streams_again_and_again_is_closed(
    monkeypatch: pytest.MonkeyPatch, issuer: PracticeIssuer
) -> None:
    """As in CVE-2023-44487. Others are not."""
    monkeypatch.setattr(admission, "MAX_PER_PERIOD", 100)
    async with (
        house(issuer.token_url, server_options=listen_options(ANY)) as replica,
        peer(replica.target) as resetter,
        peer(replica.target) as other,
    ):
        waiting = other.open(header_block(GET_TOKEN))
        for _ in range(1000):
            if resetter.closed:
                break
            resetter.cancel(resetter.open(header_block(GET_TOKEN)))
            await asyncio.sleep(0)
        await wait_until(lambda: resetter.closed)
        assert not other.closed
        assert waiting not in other.reset


async def test_a_flood_by_unknown_callers_ends_their_connections_and_not_that_of_a_caller(
    tmp_path: Path, issuer: PracticeIssuer
) -> None:
    """Whose calls are answered meanwhile, within a second each."""
    options = listen_options(ANY, max_wasted_calls=50)
    async with gatehouse(tmp_path, issuer, server_options=options) as gate, gate.caller("billing") as client:
        gate.policy = Policy([rule("all", "key:*")])
        await client.get(CLIENT, AUDIENCE)
        async with peer(gate.replica.target) as first, peer(gate.replica.target) as second:
            await wait_until(lambda: first.settings and second.settings)
            for wire in (first, second):
                for _ in range(200):
                    wire.open(header_block(GET_TOKEN))
            async with asyncio.timeout(1.0):
                await client.get(CLIENT, AUDIENCE)
            await wait_until(lambda: first.closed and second.closed)
            assert first.codes().total() + second.codes().total() < 200


async def test_callers_without_a_name_have_a_quota_together(issuer: PracticeIssuer) -> None:
    """For mints, too; a token that is there is served all the same."""
    quotas = Quotas(replace(QUOTA_OPTIONS, mints_per_second=0.001, mint_burst=1, anonymous_callers=3), SystemClock())
    guards = Guards(None, lambda: OPEN, quotas)
    async with house(issuer.token_url, guards=guards) as replica:
        clients = [AsyncTokenClient(replica.target, timeout=DEADLINE) for _ in range(4)]
        for number, client in enumerate(clients[:3]):
            await client.get(CLIENT, AUDIENCE, [f"s{number}"])
        with pytest.raises(MintonceError) as caught:
            await clients[3].get(CLIENT, AUDIENCE, ["s3"])
        assert caught.value.reason == "LIMIT_EXCEEDED"
        assert (await clients[3].get(CLIENT, AUDIENCE, ["s0"])).access_token
        for client in clients:
            await client.close()
    assert issuer.posts == 3


async def test_a_caller_that_fills_a_clients_places_keeps_no_other_out(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """Places belong to the callers by their proven names."""
    few = replace(BROKER_OPTIONS, max_keys_per_client=4)
    async with gatehouse(tmp_path, issuer, broker_options=few) as gate:
        gate.policy = Policy([rule("all", "key:*")])
        async with gate.caller("cart") as greedy, gate.caller("billing") as other:
            for number in range(4):
                await greedy.get(CLIENT, AUDIENCE, [f"orders:{number}"])
            with pytest.raises(MintonceError) as caught:
                await greedy.get(CLIENT, AUDIENCE, ["orders:4"])
            assert caught.value.reason == "LIMIT_EXCEEDED"
            assert (await other.get(CLIENT, AUDIENCE, ["orders:5"])).access_token
            assert _held(gate.replica) == 4


def _held(replica: House) -> int:
    return len(list(replica.broker._cache))
