"""Where and how to listen, and the options of gRPC that follow from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mintonce_server.api.tls import TlsMaterial

MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024
HANDSHAKE_SECONDS: Final = 10
"""For the TLS handshake and the HTTP/2 preface. A peer that sends one byte a second cannot extend it."""
IDLE_SECONDS: Final = 900
MAX_WASTED_CALLS: Final = 300
GRACE_SECONDS: Final = 30
"""For calls under way on a connection that has reached max_connection_age."""
MAX_PENDING: Final = 2000
"""Calls of one listener that have arrived and are not handled yet. gRPC drops more, from any caller. This many take
less than a second, and a flood leaves room for other calls as soon as it pauses."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where and how to listen.

    Attributes:
        listen: host:port, with 0 for any free port, or unix:/path.
        bearer_listen: as `listen`, for callers without a certificate.
        health_listen: as `listen`, in clear, for probes only.
        socket_mode: the permissions of a Unix socket.
        tls: returns the current certificates. None: in clear.
        max_concurrent_rpcs: calls of known callers at a time, for each address.
        max_streams_per_connection: calls at a time. A client queues more.
        max_wasted_calls: calls without an identity or a message per second, before connections are closed.
        message_timeout: seconds from a call's headers to its message.
        handshake_seconds, idle_seconds: limits of the handshake, and of a connection without calls.
        max_connection_age: seconds. None: no limit.
    """

    listen: str
    bearer_listen: str | None
    health_listen: str | None
    socket_mode: int
    tls: Callable[[], TlsMaterial] | None
    reflection: bool
    max_concurrent_rpcs: int
    max_streams_per_connection: int
    max_wasted_calls: int
    message_timeout: float
    max_connection_age: float | None
    handshake_seconds: float
    idle_seconds: float


def channel_options(options: ServerOptions) -> list[tuple[str, Any]]:
    """For grpc.aio.server."""
    chosen: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        # Beyond the soft limit gRPC refuses requests at random, so both limits are the same.
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", options.max_streams_per_connection),
        # gRPC's default of 1 counts streams that are over until they are freed: a channel that has more calls than
        # streams then loses a quarter of them.
        ("grpc.http.overload_protection", 0),
        ("grpc.server.max_pending_requests", MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING + 1),
        # Requests are small. A compressed one could become a thousand times as large before its size is looked at.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.so_reuseport", 0),  # a second process on the same port is an error
        # Watches are long and silent, and so are channels without a call: pings each 10 s must not count as an attack.
        # On the way they may come closer together, hence half of that.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        # Without this, two hours must be between pings on a connection without calls.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", int(options.handshake_seconds * 1000)),
        ("grpc.max_connection_idle_ms", int(options.idle_seconds * 1000)),
        # Finds callers that have vanished, and ends their watches.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # What ends a silent connection of grpcio in truth (seen in 1.85); its default is 60 s.
        ("grpc.http2.ping_timeout_ms", 20_000),
    ]
    if options.max_connection_age is not None:
        chosen.append(("grpc.max_connection_age_ms", int(options.max_connection_age * 1000)))
        chosen.append(("grpc.max_connection_age_grace_ms", GRACE_SECONDS * 1000))
    return chosen
