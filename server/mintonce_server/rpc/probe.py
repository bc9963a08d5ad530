"""Asks a running server for its health, as a container's health check does."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def health_of(target: str, deadline: float) -> str:
    """SERVING, NOT_SERVING or UNKNOWN. Raises ConnectionError when there is no answer within `deadline` seconds."""
    with grpc.insecure_channel(dialable(target)) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=deadline)
        except grpc.RpcError as error:
            raise ConnectionError(f"{target} does not answer") from error
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def dialable(listen: str) -> str:
    """Where to reach what listens there: a wildcard address is not one to dial."""
    host, _, port = listen.rpartition(":")
    return {"0.0.0.0": f"127.0.0.1:{port}", "[::]": f"[::1]:{port}"}.get(host, listen)  # noqa: S104 - compared, not bound
