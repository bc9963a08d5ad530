"""Connections that say nothing, that stay too long, or that speak what is no longer safe."""

import asyncio
import ssl
import warnings
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc.aio import insecure_channel

from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.api.options import ServerOptions
from mintonce_server.api.tls import load_tls
from support.certificates import Authority
from support.house import AUDIENCE, CLIENT, house
from support.options import listen_options

ANY = "127.0.0.1:0"
DEADLINE = 5.0
"""Below all that the product sets by itself: what a test does not set must not make it pass."""
SHORT = 0.3
FIVE_PINGS = 55.0
"""Seconds in which a client sends five pings."""
WANTED = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE))


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0"], ids=["nothing", "half of a greeting"])
async def test_who_says_nothing_is_hung_up_on(issuer: PracticeIssuer, said: bytes) -> None:
    """Else anybody who reaches the port could use up the descriptors."""
    options = listen_options(ANY, handshake_seconds=SHORT)
    async with house(issuer.token_url, server_options=options) as replica:
        reader, writer = await asyncio.open_connection(*_address(replica.target))
        writer.write(said)
        async with asyncio.timeout(DEADLINE):
            with suppress(ConnectionResetError):
                await reader.read()  # to its end
        writer.close()


@pytest.mark.parametrize(
    "options",
    [listen_options(ANY, idle_seconds=SHORT), listen_options(ANY, max_connection_age=SHORT)],
    ids=["idle", "old"],
)
async def test_a_connection_ends_and_the_next_call_opens_another(
    issuer: PracticeIssuer, options: ServerOptions
) -> None:
    """The idle ones make room; the old ones must prove again who they are, so that a revocation takes effect."""
    async with house(issuer.token_url, server_options=options) as replica, insecure_channel(replica.target) as channel:
        tokens = tokens_pb2_grpc.TokenServiceStub(channel)
        await tokens.GetToken(WANTED, timeout=DEADLINE)
        async with asyncio.timeout(DEADLINE):
            while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(state)
        assert (await tokens.GetToken(WANTED, timeout=DEADLINE)).token.generation


@pytest.mark.slow
async def test_pings_each_ten_seconds_without_a_call_are_welcome(issuer: PracticeIssuer) -> None:
    """As gRPC's clients send them that keep idle connections alive in NATs. The third would be too many otherwise."""
    pings = [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with house(issuer.token_url) as replica, insecure_channel(replica.target, options=pings) as channel:
        await tokens_pb2_grpc.TokenServiceStub(channel).GetToken(WANTED, timeout=DEADLINE)
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        with pytest.raises(TimeoutError):  # the state does not change
            async with asyncio.timeout(FIVE_PINGS):
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)


async def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """The server hangs up; the same client is welcome with a newer one."""
    server = Authority(tmp_path).server()
    material = load_tls([server.certificate.read_bytes(), server.key.read_bytes()])
    async with house(issuer.token_url, server_options=listen_options(ANY, tls=lambda: material)) as replica:
        assert await _spoken(replica.target, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        # An alert or a reset comes from the server; what this side would not say itself has another text.
        with pytest.raises((ssl.SSLError, ConnectionResetError), match=r"ALERT_PROTOCOL_VERSION|reset by peer|^$"):
            await _spoken(replica.target, ssl.TLSVersion.TLSv1_1)


async def _spoken(target: str, most: ssl.TLSVersion) -> str | None:
    """The version that the server chose, for a client that knows none above `most`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # else this side would refuse the old versions itself
    context.set_alpn_protocols(["h2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions: that is what this is about
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = most
    _, writer = await asyncio.open_connection(*_address(target), ssl=context)
    connection = writer.get_extra_info("ssl_object")
    assert isinstance(connection, ssl.SSLObject)
    version = connection.version()
    writer.transport.abort()
    return version


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host, int(port)


async def test_a_compressed_request_is_refused_before_it_is_unpacked(issuer: PracticeIssuer) -> None:
    """It could become a thousand times as large. Ours are small, and no client compresses by itself."""
    options = listen_options(ANY)
    async with (
        house(issuer.token_url, server_options=options) as replica,
        insecure_channel(replica.target, compression=grpc.Compression.Gzip) as channel,
    ):
        wanted = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE + "a" * 900))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await tokens_pb2_grpc.TokenServiceStub(channel).GetToken(wanted, timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
