"""Asks a running server for its health, as a container's health check does."""

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


def health_of(target: str, deadline: float, service: str = "") -> str:
    """SERVING, NOT_SERVING, UNKNOWN, or a number that gRPC does not know.

    Raises ConnectionError when there is no answer within `deadline` seconds.
    """
    with grpc.insecure_channel(dialable(target)) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
        )
        try:
            answer: HealthCheckResponse = check(HealthCheckRequest(service=service), timeout=deadline)
        except grpc.RpcError as error:
            raise ConnectionError(f"{target} does not answer") from error
    known = HealthCheckResponse.ServingStatus.values()
    return HealthCheckResponse.ServingStatus.Name(answer.status) if answer.status in known else str(answer.status)


def dialable(listen: str) -> str:
    """Where to reach what listens there: a wildcard address is not one to dial."""
    host, _, port = listen.rpartition(":")
    wildcards = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound
    return f"{wildcards[host]}:{port}" if host in wildcards else listen
