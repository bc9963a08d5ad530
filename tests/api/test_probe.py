"""What `mintonced health` makes of the answer."""

import socket
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from mintonce_server.api.probe import NoSuchService, SpeaksTls, health_of
from mintonce_server.cli.health import main
from support.tls_grpc import Certificates, TlsServer

Answer = bytes | grpc.StatusCode
DEADLINE = 10.0


@contextmanager
def server(answer: Answer, asked: list[bytes] | None = None) -> Generator[str]:
    """A gRPC server that always answers this; gives its address."""

    def reply(request: bytes, context: grpc.ServicerContext) -> bytes:
        if asked is not None:
            asked.append(request)
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "no")
        return answer

    running = grpc.server(ThreadPoolExecutor(1))
    check: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(reply)
    running.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})])
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop(None).wait()


@contextmanager
def saying(data: bytes) -> Generator[str]:
    """A server that says this to one connection and then keeps quiet."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.sendall(data)
                over.wait(DEADLINE)

        pool.submit(serve)
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()


@pytest.mark.parametrize(
    ("answer", "health"), [(b"", "UNKNOWN"), (b"\x08\x01", "SERVING"), (b"\x08\x02", "NOT_SERVING"), (b"\x08\x07", "7")]
)
def test_an_answer_of_any_server_has_a_name(answer: bytes, health: str) -> None:
    """Also one that gRPC does not know: a newer one, or another program's."""
    with server(answer) as target:
        assert health_of(target, DEADLINE) == health


@pytest.mark.parametrize("service", ["", "liveness", "mintonce.v1.TokenService"])
def test_the_request_is_what_protobuf_makes_of_it(service: str) -> None:
    """The probe writes those few bytes itself: importing protobuf would cost more than the call."""
    asked: list[bytes] = []
    with server(b"\x08\x01", asked) as target:
        health_of(target, DEADLINE, service)
    assert asked == [health_pb2.HealthCheckRequest(service=service).SerializeToString(deterministic=True)]


def test_a_service_that_is_not_there_has_an_error_of_its_own() -> None:
    """The server runs: the probe asked for the wrong name."""
    with server(grpc.StatusCode.NOT_FOUND) as target, pytest.raises(NoSuchService, match="other"):
        health_of(target, DEADLINE, "other")


@pytest.mark.parametrize("answer", [grpc.StatusCode.UNIMPLEMENTED, b"\x08\x80\x01", b"\x10\x01", b"\x08"])
def test_another_kind_of_answer_is_no_health(answer: Answer) -> None:
    """An error that says who is there."""
    with server(answer) as target, pytest.raises(ConnectionError, match="does not answer as"):
        health_of(target, DEADLINE)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 200_000])
def test_a_peer_that_is_no_grpc_server_is_given_up_in_time(data: bytes) -> None:
    """It may be silent, speak otherwise, or never stop."""
    with saying(data) as target, pytest.raises(ConnectionError):
        health_of(target, 0.3)


@pytest.mark.parametrize("target", ["nowhere:0", "a b:1", "x" * 70 + ":1", "[::1:1"])
def test_an_address_that_is_none_is_a_connection_error(target: str) -> None:
    """As a host that is away."""
    with pytest.raises(ConnectionError, match="does not answer"):
        health_of(target, 0.5)


@pytest.mark.parametrize("mutual", [False, True], ids=["TLS", "mutual TLS"])
def test_a_port_that_speaks_tls_is_recognised(tmp_path: Path, mutual: bool) -> None:
    """Also one that wants a certificate of ours; and the command says what to ask instead."""
    with TlsServer(Certificates(tmp_path), mutual=mutual) as running, pytest.raises(SpeaksTls, match="speaks TLS"):
        health_of(running.target, DEADLINE)


def test_the_command_says_which_port_and_which_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`mintonced serve` does run there: it is not asked."""
    with TlsServer(Certificates(tmp_path)) as running:
        assert main(["--target", running.target]) == 1
    said = capsys.readouterr().err
    assert "speaks TLS" in said
    assert "health_listen" in said
    assert "--ca-file" in said
    assert "serve" not in said
