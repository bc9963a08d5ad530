"""Counts what a service uses."""

import random
from importlib.metadata import version

from mintonce_server.common.clock import Clock
from mintonce_server.config import Settings
from mintonce_server.core.events import EventSink
from mintonce_server.core.usage import UsageCounter
from mintonce_server.store.redis import RedisStore


def usage_of(settings: Settings, store: RedisStore, clock: Clock, sink: EventSink) -> UsageCounter:
    """For a service on this store. `sink`: gets what is worth saying about budgets."""
    issuers = {name: client.issuer for name, client in settings.clients.items()}
    rng = random.Random()  # noqa: S311 - spreads writes
    return UsageCounter(store.usage, issuers, settings.budgets, clock, sink, rng, version=version("mintonce"))
