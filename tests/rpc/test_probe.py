"""What `mintonced health` makes of the answer."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mintonce_server.rpc.probe import health_of


@pytest.mark.parametrize(
    ("answer", "health"), [(b"", "UNKNOWN"), (b"\x08\x01", "SERVING"), (b"\x08\x02", "NOT_SERVING"), (b"\x08\x07", "7")]
)
def test_an_answer_of_any_server_has_a_name(answer: bytes, health: str) -> None:
    """Also one that gRPC does not know: a newer one, or another program's."""

    def reply(_request: bytes, _context: grpc.ServicerContext) -> bytes:
        return answer

    server = grpc.server(ThreadPoolExecutor(1))
    check: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(reply)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert health_of(f"127.0.0.1:{port}", 10.0) == health
    finally:
        server.stop(None).wait()
