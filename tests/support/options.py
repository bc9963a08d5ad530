"""Options that a test need not care about. A test that does uses `dataclasses.replace`."""

from typing import Any, Final

from mintonce_server.api.options import ServerOptions
from mintonce_server.core.broker import BrokerOptions
from mintonce_server.core.limits import QuotaOptions
from mintonce_server.store import RedisStore
from mintonce_server.store.names import PREFIX

BROKER_OPTIONS: Final = BrokerOptions(
    mint_deadline=10.0,
    min_rotation_interval=30.0,
    revalidate_within=5.0,
    mint_in_outage=True,
    max_keys_per_client=1_000_000,
)
QUOTA_OPTIONS: Final = QuotaOptions(
    mints_per_second=20.0,
    mint_burst=500,
    rejects_per_second=1.0,
    reject_burst=20,
    max_watches_per_caller=1000,
    max_calls_per_caller=2000,
    anonymous_callers=10,
)
LEASE_SECONDS: Final = 3.0


def listen_options(listen: str, **changes: Any) -> ServerOptions:
    """Options of a server in clear that differ from plain ones in these."""
    plain: dict[str, Any] = {
        "bearer_listen": None,
        "health_listen": None,
        "socket_mode": 0o600,
        "tls": None,
        "reflection": False,
        "max_concurrent_rpcs": 10_000,
        "max_streams_per_connection": 2000,
        "max_wasted_calls": 300,
        "message_timeout": 5.0,
        "max_connection_age": None,
        "handshake_seconds": 10,
        "idle_seconds": 900,
    }
    return ServerOptions(listen, **plain | changes)


def redis_store(url: str, **options: Any) -> RedisStore:
    """`RedisStore.connect` with the names and limits of a plain deployment, but for these."""
    plain: dict[str, Any] = {"prefix": PREFIX, "lease_seconds": LEASE_SECONDS, "deadline": 0.25}
    return RedisStore.connect(url, **plain | options)
