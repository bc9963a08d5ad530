"""The baseline: a grpcio server whose one method does nothing. `python -m bench.empty`, a process of its own.

The method reads the request of GetToken and returns an empty response, so it costs what gRPC itself costs. Prints where
it listens, and ends on SIGTERM. With BENCH_TLS (paths of certificate, key and client CA, separated by `:`) it demands
a client certificate, as the guarded server does.
"""

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio

from mintonce.v1 import tokens_pb2

SERVICE: Final = "mintonce.bench.v1.Bench"
METHOD: Final = f"/{SERVICE}/Empty"

Context = aio.ServicerContext[Any, Any]


def credentials(files: str) -> grpc.ServerCredentials:
    """Mutual TLS from three PEM files."""
    certificate, key, ca = (Path(path).read_bytes() for path in files.split(":"))
    return grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)


async def serve(files: str | None) -> None:
    """Until the process is terminated."""
    nothing = tokens_pb2.GetTokenResponse()

    async def empty(request: tokens_pb2.GetTokenRequest, context: Context) -> tokens_pb2.GetTokenResponse:
        return nothing

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Empty": grpc.unary_unary_rpc_method_handler(
            empty, tokens_pb2.GetTokenRequest.FromString, tokens_pb2.GetTokenResponse.SerializeToString
        )
    }
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials(files)) if files else server.add_insecure_port(address)
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(os.environ.get("BENCH_TLS")))
