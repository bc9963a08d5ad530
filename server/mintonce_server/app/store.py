"""The store that the settings name."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from mintonce_server.app.issuers import identities_of
from mintonce_server.common.clock import Clock
from mintonce_server.config import Settings
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.store_meter import StoreMeter
from mintonce_server.store.keyring import Keyring
from mintonce_server.store.redis import RedisStore

_WAKE_REMEDY = (
    "Normal during a rolling update. Otherwise check which programs publish to {prefix}:wake in Redis, and that all "
    "replicas have the same index_key. Meanwhile waiting calls poll the store."
)


@asynccontextmanager
async def store_of(
    settings: Settings, clock: Clock, keyring: Callable[[], Keyring], meter: StoreMeter | None = None
) -> AsyncGenerator[RedisStore]:
    """The store that the settings name."""
    log = get_logger(__name__)
    identities, prefix = identities_of(settings), settings.redis.prefix
    store = RedisStore.connect(
        settings.redis.url.reveal(),
        prefix=prefix,
        clock=clock,
        keyring=keyring,
        identities=identities,
        lease_seconds=settings.lease_ttl,
        deadline=settings.redis.timeout,
        meter=meter,
        on_error=lambda error: log.warning("wakes_interrupted", detail=str(error), remedy=error.remedy),
        on_dropped=lambda count: log.warning("wake_dropped", count=count, remedy=_WAKE_REMEDY.format(prefix=prefix)),
        on_unreadable=lambda key_hash, what: log.error("record_unreadable", key_hash=key_hash, detail=what),
    )
    try:
        yield store
    finally:
        await store.close()
