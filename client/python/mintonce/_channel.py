"""How a channel to mintonced is set up."""

import json
import os
from typing import Any, Final, TypeAlias

import grpc

from mintonce import _sendable
from mintonce._misplaced import looks_secret
from mintonce._text import visible
from mintonce.errors import Refused

Options: TypeAlias = tuple[tuple[str, Any], ...]

TARGET_VARIABLE: Final = "MINTONCE_TARGET"
DEFAULT_TARGET: Final = "127.0.0.1:50051"
DEFAULT_TIMEOUT: Final = 10.0
"""Seconds. As long as the server allows a mint to take."""

_URL_SCHEMES: Final = ("http", "https", "grpc", "grpcs", "tcp")
_MAX_SHOWN: Final = 100

# Retries cover a replica that goes away: a second is enough for another one to answer. RotateToken is not among them,
# since each one mints. CANCELLED is what a server says that is flooded and drops calls before it has looked at them;
# calls that the application cancels are not repeated.
# No "timeout" in here, ever: gRPC then fails every call at once (seen on 1.71 to 1.85).
# All addresses of the name are used in turn: replicas share the load, and a call whose replica has gone has others.
_SERVICE_CONFIG: Final[dict[str, Any]] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                {"service": "mintonce.v1.TokenService"},
                {"service": "mintonce.v1.AdminService", "method": "ListTokens"},
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2.0,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    # A client all of whose calls fail stops repeating them.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5},
}

OPTIONS: Final[Options] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # A watch may be silent for a day: pings keep it from being forgotten on the way, and show when it is dead.
    # mintonced allows them each 10 seconds. A stricter proxy says so, and gRPC then pings less.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # The time-out above does not end a silent connection of grpcio (seen in 1.85). This one does; its default is 60 s.
    ("grpc.http2.ping_timeout_ms", 5_000),
    # gRPC's own reconnect back-off would grow to two minutes; a restarted server should be found sooner.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.primary_user_agent", "mintonce-python"),
)


def resolve_target(target: str | None) -> str:
    """The given one, else MINTONCE_TARGET, else 127.0.0.1:50051. Raises Refused for one that is no gRPC target."""
    chosen = _sendable.text("target", target or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET)
    scheme, found, rest = chosen.partition("://")
    if found and scheme.lower() in _URL_SCHEMES:
        tls = " For TLS, set MINTONCE_CA_FILE or MINTONCE_TLS=true." if scheme.lower() in ("https", "grpcs") else ""
        raise Refused(
            f"the target has a URL's scheme: {scheme}://",
            reason="INVALID_REQUEST",
            remedy=f"Write it without: {visible(rest.partition('/')[0].rpartition('@')[2], _MAX_SHOWN)}.{tls}",
        )
    # What stands before an @ may be a password; only in the path of a socket it may not.
    if looks_secret(chosen) or ("@" in chosen and not chosen.startswith("unix:")):
        raise Refused(
            "the target is no address, and is not shown: it may hold a secret",
            reason="INVALID_REQUEST",
            remedy="Write it as host:port, unix:PATH or dns:///host:port, without a user, a password or a key.",
            code=grpc.StatusCode.INVALID_ARGUMENT,
        )
    return chosen
