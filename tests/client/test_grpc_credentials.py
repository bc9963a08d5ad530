"""gRPC call credentials, against a real gRPC API."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest

from mintonce import AsyncTokenSource, TokenSource
from mintonce.integrations.grpc import call_credentials
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

METHOD = "/orders.Orders/Place"


class Echo(grpc.GenericRpcHandler):
    """Answers with the Authorization that came."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        came = dict(handler_call_details.invocation_metadata).get("authorization", "")
        return grpc.unary_unary_rpc_method_handler(lambda *_: str(came).encode())


@contextmanager
def api(credentials: grpc.CallCredentials) -> Generator[grpc.Channel]:
    # gRPC sends call credentials over TLS or a local connection only; a Unix socket is one.
    with TemporaryDirectory() as folder:
        address = f"unix:{Path(folder) / 'api'}"
        server = grpc.server(ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((Echo(),))
        server.add_secure_port(address, grpc.local_server_credentials(grpc.LocalConnectionType.UDS))
        server.start()
        local = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
        with grpc.secure_channel(address, grpc.composite_channel_credentials(local, credentials)) as channel:
            yield channel
        server.stop(None).wait(5)


def call(channel: grpc.Channel) -> bytes:
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
    return method(b"", timeout=5.0)


def test_each_call_carries_the_token_of_its_moment(server: ScriptedServer) -> None:
    """A successor is used from the next call on."""
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source, api(call_credentials(source)) as channel:
        assert call(channel) == b"Bearer secret-101"
        first = source.get()
        server.wait_for(lambda calls: calls["WatchToken"])
        server.publish()
        source.wait_until_updated(first)
        assert call(channel) == b"Bearer secret-102"


async def test_an_async_source_serves_too(server: ScriptedServer) -> None:
    """Its token may be read from any thread."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        with api(call_credentials(source)) as channel:
            assert call(channel) == b"Bearer secret-101"


def test_without_a_live_token_the_call_fails_at_once_and_says_why(server: ScriptedServer) -> None:
    """It never waits on gRPC's thread."""
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source, api(call_credentials(source)) as channel:
        server.fail("GetToken", grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED")
        with pytest.raises(Exception, match="GetToken failed"):
            source.reject(source.get())
        with pytest.raises(grpc.RpcError) as caught:
            call(channel)
    assert "there is no successor" in str(caught.value.details())
    assert "secret" not in str(caught.value)
